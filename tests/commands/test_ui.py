import contextlib
import os
import socket

import pytest

from samebits.base.errors import UserError
from samebits.commands import ui
from samebits.tracking import best_effort
from tests.made.finished import empty_store


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """What was published, without publishing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    asked: list[tuple[str | bool, ...]] = []
    monkeypatch.setattr(best_effort, "publish", lambda *datasets, hurry: asked.append((*datasets, hurry)))
    return asked


@pytest.fixture(autouse=True)
def became(monkeypatch):
    """What this process would have become."""
    processes: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *process: processes.append(process))
    return processes


def test_a_port_that_is_taken(published, became):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"^port {port} is in use: `make ui PORT=N` takes another$"):
            ui.main(port)
        with socket.create_connection(("127.0.0.1", port)) as browser:
            taken.accept()[0].close()  # the side that closes first leaves the port in TIME_WAIT
            browser.recv(1)
    assert published == became == []
    ui.require_free(port)


def test_everything_is_published_and_served_here_only(tmp_path, published, became, capfd):
    empty_store(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ui.main(port)
    ((_, line, environment),) = became
    assert published == [(False,)], "it takes what it takes"
    assert line[1:] == ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    assert environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert f"http://127.0.0.1:{port}/#/experiments/1/runs?compareRunsMode=CHART" in capfd.readouterr().out


def test_a_store_that_fails_is_a_sentence(tmp_path, published, became):
    (tmp_path / "mlflow.db").write_text("no database" * 100)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=r"mlflow.db cannot be used"):
        ui.main(port)
    assert published == became == [], "a second time would tell nothing new"


def test_a_server_elsewhere_is_only_named(monkeypatch, became, capsys):
    class Elsewhere:
        experiment = "7"

        @staticmethod
        def save_view():
            return "view"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:s3cret@mlflow.example.org/")
    monkeypatch.setattr(ui, "connect", lambda: contextlib.nullcontext(Elsewhere))
    ui.main(5000)
    assert capsys.readouterr().out.startswith("MLflow is at https://mlflow.example.org/#/experiments/7/runs?")
    assert became == []
