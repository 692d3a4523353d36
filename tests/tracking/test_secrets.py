"""A password that is planted is found in no message: all commands that reach MLflow, and stores broken in every way."""

import base64
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from samebits.commands import line
from samebits.tracking import best_effort
from tests.conftest import ROOT
from tests.made.finished import empty_store, enter, project
from tests.made.processes import free_port

PLANTED = "s3cret"
COMMANDS = [
    ["publish"],
    ["promote"],
    ["ui", "--port", str(free_port())],
    ["predict", "digits", "seven.png", "--model", "models:/samebits-digits@champion"],
    ["serve", "digits", "--model", "models:/samebits-digits@champion"],
]


class Echo(BaseHTTPRequestHandler):
    """A server that says again what it was asked with, as one that is set up badly does."""

    def do_GET(self):
        said = self.headers.get("Authorization", "")
        code, _, kind = self.path.strip("/").partition("/")[0].partition("-")
        self.send_response(int(code))
        self.send_header("Location", f"http://ann:{PLANTED}@127.0.0.1:9/{PLANTED}")
        self.send_header("Content-Type", kind or "text/html")
        self.end_headers()
        self.wfile.write(f"<p>{PLANTED} {said}".encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    enter(monkeypatch, tmp_path)
    monkeypatch.setattr(line, "leave", lambda code: None)  # which would end pytest where a call was left behind
    return project(tmp_path, "digits")


def of_another_version(folder):
    empty_store(folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'deadbeef'")
        database.execute("DROP TABLE job_locks")  # of what only this version has
        database.commit()


def cut(folder):
    empty_store(folder)
    with (folder / "mlflow.db").open("r+b") as file:
        file.truncate(8192)


def without_columns(folder):
    empty_store(folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute("ALTER TABLE experiments RENAME COLUMN artifact_location TO place")
        database.commit()


ADDRESSES = [
    "http://ann:{}@127.0.0.1:{port}",
    "http://{}@127.0.0.1:{port}",
    "http://ann:{}@nowhere.invalid",
    "http://ann:{}@{echo}/401",
    "http://ann:{}@{echo}/400",
    "http://ann:{}@{echo}/500",
    "http://ann:{}@{echo}/200",
    "http://ann:{}@{echo}/200-application/json",
    "http://ann:{}@{echo}/302",
    "https://ann:{}@{echo}/200",
    "http://ann:{}/x@127.0.0.1:{port}",
    "http://ann:{}?x@127.0.0.1:{port}",
    "http://ann:%40{}%2F@127.0.0.1:{port}",
    " http://ann:{}@127.0.0.1:{port}",
    "ann:{}@127.0.0.1:{port}",
    "postgres://ann:{}@127.0.0.1:{port}/db",
    "postgresql://ann:{}@127.0.0.1:{port}/db",
    "postgresql+psycopg://ann:{}@127.0.0.1:{port}/db",
    "postgresql+psycopg://127.0.0.1:{port}/db?user=ann&password={}",
    "postgresql+psycopg://127.0.0.1:{port}/db?nonsense={}",
    "postgresql+psycopg://ann:x@{}@127.0.0.1:{port}/db",
    "postgresql+nodriver://ann:{}@127.0.0.1:{port}/db",
    "mysql+pymysql://ann:{}@127.0.0.1:{port}/db",
    "mssql+pyodbc://ann:{}@127.0.0.1:{port}/db",
    "htp://ann:{}@127.0.0.1/db",
    "mongodb+srv://ann:{}@127.0.0.1/db",
    "databricks://ann:{}@127.0.0.1",
]
FILES = [of_another_version, cut, without_columns]


def asked(arguments, capfd):
    """What a command ends with, and all that it says."""
    with pytest.raises(SystemExit) as end:
        line.run(arguments)
    printed = capfd.readouterr()
    return end.value.code, printed.out + printed.err


def check(capfd):
    for arguments in COMMANDS:
        code, said = asked(arguments, capfd)
        assert code, (arguments, said)
        assert PLANTED not in said, arguments
        assert base64.b64encode(f"ann:{PLANTED}".encode()).decode() not in said, arguments
        assert said.startswith("error: "), said
        assert said.count("\n") == 1, said
        assert not said.endswith(":\n"), said


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_password_in_the_address(folder, monkeypatch, capfd, echo, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(PLANTED, port=free_port(), echo=echo))
    check(capfd)


@pytest.mark.parametrize("address", ["http://ann:{}@{echo}/200", "postgres://ann:{}@127.0.0.1/db"])
def test_a_stage_warns_without_it(folder, monkeypatch, capfd, echo, address):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(PLANTED, echo=echo))
    best_effort.publish(hurry=False)
    said = "".join(capfd.readouterr())
    assert said.lower().startswith("warning: not published to mlflow: mlflow")
    assert said.endswith("; `samebits publish` does it later\n")
    assert PLANTED not in said


@pytest.mark.parametrize("token", [PLANTED, f"{PLANTED}\n", f"{PLANTED} ä"])
@pytest.mark.parametrize("variables", [("USERNAME", "PASSWORD"), ("TOKEN",)])
@pytest.mark.parametrize("path", ["401", "200", "500"])
def test_a_password_in_the_environment(folder, monkeypatch, capfd, echo, variables, token, path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{echo}/{path}")
    for name in variables:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", token)
    check(capfd)


@pytest.mark.parametrize("broken", FILES)
def test_a_database_that_cannot_be_used(folder, monkeypatch, capfd, broken):
    broken(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PLANTED)
    check(capfd)


def test_a_mistake_of_ours_tells_all_but_the_password(folder, monkeypatch, capfd):
    uri = f"http://ann:{PLANTED}@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("samebits.tracking.publishing.connect", lambda: dict[str, str]()[uri])
    code, said = asked(["publish"], capfd)
    assert code == 1
    assert "Traceback (most recent call last)" in said
    assert "KeyError: 'http://***@127.0.0.1" in said
    assert PLANTED not in said
