"""Stores that hang, each in its own way: none costs a stage more than the budget, nor keeps a command by hand."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress

import pytest

from samebits.base.errors import UserError
from samebits.base.patience import within
from samebits.commands import promote
from samebits.tracking import best_effort, publishing, registry
from samebits.tracking.connection import UnavailableError
from samebits.tracking.store import PARENT, connect
from tests.conftest import ROOT, environment, run
from tests.made.described import describe_model
from tests.made.finished import empty_store, enter, project, runs
from tests.made.processes import free_port
from tests.made.proxy import proxy
from tests.tracking.test_store import open_once, serving

SEEDS = tuple(range(10))
HANGS = 45  # seconds: far more than the budget and what a busy machine adds, and less than what it was before
LATER = "; `samebits publish` does it later\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The finished outputs of all runs of digits, here."""
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return project(tmp_path, "digits", seeds=SEEDS)


@contextmanager
def soon(seconds=HANGS):
    """What is done here hangs nobody."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def command(*line, **changes):
    """A command by hand, as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "samebits", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONPATH=str(ROOT), **changes),
    )


def ended(process):
    try:
        _, said = process.communicate(timeout=HANGS)
    finally:
        process.kill()
    return process.returncode, said


@contextmanager
def silent(full=False):
    """A port that takes connections and says nothing; or a full one, which does not even take them."""
    with socket.socket() as listening, closing(socket.socket()) as first, closing(socket.socket()) as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0 if full else 100)
        for each in (first, second) if full else ():
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(listening.getsockname())
        yield listening


@contextmanager
def stopped(code, *arguments):
    """A process that runs `code` until it prints a line, and is stopped then."""
    line = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.kill()


HOLD_THE_LOCK = """
import filelock, sys, time
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print(flush=True)
time.sleep(300)
"""
WRITE = """
import os
os.utime("mlflow.db")
time.sleep(1)
"""
HOLD_THE_DATABASE = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print(flush=True)
time.sleep(300)
"""


def whole(uri):
    """All three runs are there once, each with all of its seeds, and nothing else is."""
    found = runs(uri)
    parents = {run.info.run_id for run in found if PARENT not in run.data.tags}
    assert len(parents) == 3
    assert sorted(run.data.tags[PARENT] for run in found if PARENT in run.data.tags) == sorted([*parents] * len(SEEDS))
    assert {run.info.status for run in found} == {"FINISHED"}


def test_a_server_that_takes_its_time_with_each_answer(folder, tmp_path, monkeypatch, capfd):
    """The stage goes on; what it has left behind is made whole by hand, which takes as long as it takes."""
    served = tmp_path / "served"
    served.mkdir()
    empty_store(served)
    port = free_port()
    with serving(served, port) as (address, _), proxy(port) as slow:
        slow.delay = 0.4
        monkeypatch.setenv("MLFLOW_TRACKING_URI", slow.address)
        with soon():
            best_effort.publish("digits")
        printed = capfd.readouterr()
        waiting = f"warning: not published to MLflow: 10 s have passed, most of them in waiting for {slow.address}"
        assert (printed.out.splitlines(keepends=True)[-1], printed.err) == (waiting + LATER, "")
        assert "RUNNING" in {run.info.status for run in runs(address)}
        slow.delay = 0.02
        publishing.publish()
        whole(address)


def test_a_publisher_that_was_stopped_with_the_lock(folder, capfd):
    empty_store(folder)
    with stopped(HOLD_THE_LOCK, folder / "mlflow.db.lock"):
        with soon():
            best_effort.publish("digits")
        waiting = f"10 s have passed, most of them in waiting for sqlite:///{folder}/mlflow.db"
        assert capfd.readouterr() == (f"warning: not published to MLflow: {waiting}{LATER}", "")
        reason = r"is in use: another publisher holds .*mlflow.db.lock and writes nothing$"
        with soon(), pytest.raises(UnavailableError, match=reason):
            open_once()


def test_a_publisher_that_holds_the_lock_and_writes_is_waited_for(folder):
    """Longer than the budget, for all wait for each other where eight publish at once."""
    empty_store(folder)
    code = HOLD_THE_LOCK.replace("sleep(300)", "sleep(1)") + WRITE * 12
    with subprocess.Popen([sys.executable, "-c", code, folder / "mlflow.db.lock"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        open_once()
        assert process.wait() == 0


def test_a_database_that_another_program_keeps_to_itself(folder):
    empty_store(folder)
    reason = r"mlflow.db cannot be used: .*database is locked$"
    with stopped(HOLD_THE_DATABASE, folder / "mlflow.db"), soon(30), pytest.raises(UnavailableError, match=reason):
        open_once()


def test_a_folder_for_a_database(folder, monkeypatch, capfd):
    (folder / "mlflow.db").mkdir()
    for command in (open_once, lambda: registry.fetch("models:/samebits-digits@champion", folder)):
        with (
            soon(30),
            pytest.raises(UnavailableError, match=r"mlflow.db cannot be used: .*unable to open database file$"),
        ):
            command()
    with soon(30):
        best_effort.publish("digits")
    assert capfd.readouterr().out.startswith(
        f"warning: not published to MLflow: MLflow at sqlite:///{folder}/mlflow.db"
    )


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "http"])
@pytest.mark.parametrize("full", [False, True])
def test_an_address_that_never_answers(folder, monkeypatch, full, scheme):
    """As a process, for it must end as well, with a thread in the driver's own code."""
    with silent(full) as listening:
        uri = f"{scheme}://ann:s3cret@127.0.0.1:{listening.getsockname()[1]}/db"
        champion = ("predict", "digits", "x.png", "--model", "models:/samebits-digits@champion")
        asking = [command(*line, MLFLOW_TRACKING_URI=uri) for line in (champion, ("promote",))]
        with soon():
            for process in asking:
                code, said = ended(process)
                assert (code, said.count("\n")) == (3, 1)
                assert said.startswith(f"error: MLflow at {uri.replace('ann:s3cret@', '')} does not answer")


def test_interrupted_while_it_waits(folder):
    with silent() as listening:
        uri = f"postgresql+psycopg://ann@127.0.0.1:{listening.getsockname()[1]}/db"
        process = command("predict", "digits", "x.png", "--model", "models:/x@champion", MLFLOW_TRACKING_URI=uri)
        listening.settimeout(HANGS)
        with closing(listening.accept()[0]):
            process.send_signal(signal.SIGINT)
            with soon(5):
                assert ended(process) == (130, "error: interrupted; nothing half-written is left behind\n")


def test_answers_that_come_by_the_byte(folder, tmp_path, monkeypatch):
    """In the middle of a session, and in a download, which MLflow does in threads that Python waits for at its end."""
    monkeypatch.chdir(folder)
    describe_model(folder, "digits", "mlp", SEEDS)
    served = tmp_path / "served"
    served.mkdir()
    empty_store(served)
    port = free_port()
    with serving(served, port) as (address, _), proxy(port) as slow, proxy(port) as slower:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        publishing.publish()
        promote.main(None)
        slow.trickles, slower.trickles = b"runs/search", b"model.safetensors"
        champion = ("predict", "digits", "x.png", "--model", "models:/samebits-digits@champion")
        process = command(*champion, MLFLOW_TRACKING_URI=slower.address)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", slow.address)
        with connect() as store, soon(), pytest.raises(TimeoutError):
            store.find("k")
        with soon():
            assert ended(process)[0] == 3


KILLED_IN_SET_UP = """
import os, signal
from sqlalchemy import Engine, event
from samebits.tracking.publishing import publish

@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *_):
    if "ADD COLUMN" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

publish()
"""


def test_a_set_up_that_is_killed_leaves_no_half_made_database(folder):
    """With which MLflow could not go on: a column is there, and the note that it is there is not."""
    killed = run(sys.executable, "-c", KILLED_IN_SET_UP, cwd=folder, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    publishing.publish()
    whole(f"sqlite:///{folder}/mlflow.db")
    assert {path.name for path in folder.glob("*mlflow.db*")} == {"mlflow.db", "mlflow.db.lock"}


def test_what_is_left_behind_is_not_waited_for():
    with soon(3), pytest.raises(TimeoutError):
        within(0.1, lambda: time.sleep(5))
    assert within(5, lambda: "answer") == "answer"
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)
    with pytest.raises(SystemExit):
        within(5, sys.exit)


def test_a_limit_that_moves():
    """It holds for who goes on, and ends who does not."""
    began = time.monotonic()
    assert within(lambda: 0.5 + min(time.monotonic() - began, 1), lambda: time.sleep(1.2)) is None
    with soon(3), pytest.raises(TimeoutError):
        within(lambda: 0.5, lambda: time.sleep(5))


@pytest.mark.parametrize("said", ["x", "0", "-1", "1.5", "", "9" * 5000])
def test_a_time_that_is_none(folder, monkeypatch, said):
    empty_store(folder)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", said)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match=r"^MLFLOW_HTTP_REQUEST_TIMEOUT is '[x\d.-]{0,200}': it must be a whole number"):
        open_once()
