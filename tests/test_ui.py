import os
import socket

import pytest

from stages import publish, ui
from stages.command import UserError
from tests.finished import empty_store


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """What was published, without publishing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(publish, "best_effort", lambda *datasets: asked.append(datasets))
    return asked


def test_a_port_that_is_taken(tmp_path, published):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"^port {port} is in use: `python -m stages.ui --port N` takes another$"):
            ui.main(port)
    assert published == []
    ui.require_free(port)


def test_everything_is_published_and_served_here_only(tmp_path, published, monkeypatch, capfd):
    empty_store(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    became = []
    monkeypatch.setattr(os, "execve", lambda *process: became.append(process))
    ui.main(port)
    ((_, line, environment),) = became
    assert published == [()]
    assert line[1:] == ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    assert environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert f"http://127.0.0.1:{port}/#/experiments/1/runs?compareRunsMode=CHART" in capfd.readouterr().out


def test_a_store_that_fails_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").write_text("no database" * 100)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=r"mlflow.db cannot be used"):
        ui.main(port)
