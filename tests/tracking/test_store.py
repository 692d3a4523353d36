import multiprocessing
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from mlflow import MlflowClient

from samebits.commands import ui
from samebits.tracking import store as store_room
from samebits.tracking.address import address
from samebits.tracking.connection import UnavailableError
from samebits.tracking.record import Record
from samebits.tracking.store import connect
from tests.base.test_command_line import disk
from tests.conftest import ROOT, environment
from tests.made.finished import empty_store, enter, runs
from tests.made.processes import free_port

SECRET = "ann:s3cret@"


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    enter(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real server, started as `make ui` starts it."""
    folder = tmp_path_factory.mktemp("server")
    empty_store(folder)
    with serving(folder, free_port()) as (address, _):
        yield address


@contextmanager
def serving(folder, port, store="sqlite:///mlflow.db", **changes):
    settings = {"MLFLOW_BACKEND_STORE_URI": store, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **changes}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ui.server(port),
            cwd=folder,
            env=environment(**settings),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}", process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(address, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{address}/health", timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    pytest.fail("the server did not start")


def a_record(key="k", **changes):
    fields = {
        "key": key,
        "dataset": "digits",
        "run": "mlp",
        "note": "Digits, mlp: test accuracy 0.9",
        "params": {"lr": 0.1, "hidden": [520, 320], "init_std": None},
        "metrics": {"test_loss": {1: 2.5, 2: 0.1}, "test_accuracy_std": {0: 0.0125}},
        "tags": {"device": "cpu"},
        "digest": "d" * 64,
        "source": "data/processed/digits",
        "seconds": 42.5,
    }
    return Record(**{**fields, **changes})


@pytest.fixture
def artifacts(tmp_path):
    (tmp_path / "out/plots").mkdir(parents=True)
    (tmp_path / "out/plots/curve.svg").write_text("<svg/>")
    (tmp_path / "out/model.bin").write_bytes(bytes(300_000))
    return tmp_path / "out"


def open_once():
    with connect():
        pass


def add(record, artifacts):
    with connect() as store:
        store.add(record, artifacts)


def check(uri):
    """The one run at `uri`, beside those of its seeds, is a_record, whole."""
    (run,), _ = split(uri)
    client = MlflowClient(tracking_uri=uri)
    assert (run.info.run_name, run.info.status) == ("digits mlp", "FINISHED")
    assert run.info.end_time - run.info.start_time == 42_500
    assert run.data.params == {"lr": "0.1", "hidden": "[520, 320]", "init_std": "None"}
    assert run.data.metrics == {"test_loss": 0.1, "test_accuracy_std": 0.0125}
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "test_loss")] == [
        (1, 2.5),
        (2, 0.1),
    ]
    assert run.data.tags["samebits.key"] == "k"
    assert run.data.tags["device"] == "cpu"
    assert run.data.tags["mlflow.note.content"] == "Digits, mlp: test accuracy 0.9"
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("digits", "d" * 32)
    assert used.dataset.source == '{"uri": "data/processed/digits"}'
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"plots", "model.bin"}
    (curve,) = client.list_artifacts(run.info.run_id, "plots")
    assert (curve.path, curve.file_size) == ("plots/curve.svg", 6)


def test_sqlite_beside_the_project(tmp_path, artifacts):
    empty_store(tmp_path)
    add(a_record(), artifacts)
    check(f"sqlite:///{tmp_path}/mlflow.db")
    assert len(list((tmp_path / "mlartifacts").glob("*/artifacts/model.bin"))) == 1


def test_the_first_use_makes_the_database_and_says_so(tmp_path, capfd):
    with connect() as store:
        assert not store.has("k")
    open_once()
    assert capfd.readouterr() == ("setting up mlflow.db\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_temporary_experiment_of_dvc_writes_into_the_project(tmp_path, monkeypatch, artifacts):
    project = tmp_path / "project"
    project.mkdir()
    empty_store(project)
    monkeypatch.setenv("DVC_ROOT", str(project))
    before = set(tmp_path.iterdir())
    add(a_record(), artifacts)
    check(f"sqlite:///{project}/mlflow.db")
    assert (project / "mlartifacts").is_dir()
    assert set(tmp_path.iterdir()) == before


def test_a_real_server(server, monkeypatch, artifacts, tmp_path, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for _ in range(2):
        with connect() as store:
            if not store.has("k"):
                store.add(a_record(seeds=SEEDS), artifacts)
    assert capfd.readouterr() == ("", ""), "not an address for each run"
    check(server)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}, "what a server keeps, it keeps at its own place"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server}/nothing-here")
    with pytest.raises(UnavailableError, match=r"answers with error 404$"):
        open_once()


def test_more_points_than_mlflow_takes_at_once(tmp_path, artifacts):
    empty_store(tmp_path)
    curve = {step: step / 7 for step in range(1, 1502)}
    add(a_record(metrics={"test_loss": curve}), artifacts)
    (run,) = runs(address())
    history = MlflowClient(tracking_uri=address()).get_metric_history(run.info.run_id, "test_loss")
    assert {point.step: point.value for point in history} == curve


def test_a_run_that_was_cut_off_is_replaced(tmp_path, artifacts, monkeypatch):
    empty_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", lambda *_: 1 / 0)
        with pytest.raises(UnavailableError, match=r"cannot be used: division by zero$"):
            add(a_record(), artifacts)
    assert [run.info.status for run in runs(address())] == ["RUNNING"]
    with connect() as store:
        assert not store.has("k")
        store.add(a_record(), artifacts)
        assert store.has("k")
        assert not store.has("another")
    check(address())


SEEDS = {0: {"test_loss": {1: 3.0, 2: 0.25}}, 7: {"test_loss": {1: 2.0, 2: 0.5}}}


def split(uri):
    """The runs that are results, and those of their seeds."""
    found = runs(uri)
    seeds = [run for run in found if store_room.PARENT in run.data.tags]
    return [run for run in found if run not in seeds], seeds


def test_each_seed_is_a_child_with_its_own_curves(tmp_path, artifacts):
    empty_store(tmp_path)
    add(a_record(seeds=SEEDS), artifacts)
    (parent,), children = split(address())
    assert {child.data.tags[store_room.PARENT] for child in children} == {parent.info.run_id}
    assert {child.info.run_name: child.data.metrics["test_loss"] for child in children} == {
        "digits mlp seed 0": 0.25,
        "digits mlp seed 7": 0.5,
    }
    assert sorted(child.data.params["seed"] for child in children) == ["0", "7"]
    assert {child.info.status for child in children} == {"FINISHED"}
    client = MlflowClient(tracking_uri=address())
    (first,) = [child for child in children if child.data.params["seed"] == "0"]
    history = client.get_metric_history(first.info.run_id, "test_loss")
    assert [(point.step, point.value) for point in history] == [(1, 3.0), (2, 0.25)]
    assert len({run.data.tags[store_room.KEY] for run in [parent, *children]}) == 3


def test_a_run_that_was_cut_off_goes_with_its_children(tmp_path, artifacts, monkeypatch):
    empty_store(tmp_path)
    with monkeypatch.context() as patch:
        real, ended = MlflowClient.set_terminated, iter(SEEDS)
        patch.setattr(MlflowClient, "set_terminated", lambda *a, **k: (next(ended), real(*a, **k)))
        with pytest.raises(UnavailableError, match="StopIteration"):  # when its children have ended, and it has not
            add(a_record(seeds=SEEDS), artifacts)
    assert len(runs(address())) == 3
    add(a_record(seeds=SEEDS), artifacts)
    parents, children = split(address())
    assert len(parents) == 1
    assert {child.data.tags[store_room.PARENT] for child in children} == {parents[0].info.run_id}
    assert len(children) == 2


def gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


HOST = platform.node()


@pytest.mark.parametrize(
    ("publisher", "abandoned"),
    [
        (lambda: f"{HOST}:{os.getpid()}:{time.time():.0f}", True),  # we are not writing now, so it is of before
        (lambda: f"{HOST}:{gone()}:{time.time():.0f}", True),
        (lambda: f"{HOST}:{os.getppid()}:{time.time():.0f}", False),
        (lambda: f"{HOST}:1:{time.time():.0f}", False),
        (lambda: f"{HOST}:{os.getppid()}:{time.time() - 3700:.0f}", True),
        (lambda: f"elsewhere:2:{time.time():.0f}", False),
        (lambda: f"elsewhere:2:{time.time() - 3700:.0f}", True),
        (lambda: "", True),
        (lambda: "what:is:this", True),
    ],
)
def test_whose_writer_is_gone(publisher, abandoned):
    assert store_room._abandoned(publisher()) is abandoned


def test_of_two_that_finish_the_first_stays_and_a_writer_at_work_is_left_alone(server, monkeypatch, artifacts):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    client = MlflowClient(tracking_uri=server)
    with connect() as store:
        store.add(a_record("twice", seeds=SEEDS), artifacts)
        first = store.find("twice")
        assert first is not None
        elsewhere = {store_room.KEY: "twice", store_room.PUBLISHER: f"elsewhere:2:{time.time():.0f}"}
        other = client.create_run(store.experiment, tags=elsewhere).info.run_id
        assert store.find("twice") == first
        assert client.get_run(other).info.lifecycle_stage == "active"
        client.set_terminated(other)
        assert store.find("twice") == first
        assert client.get_run(other).info.lifecycle_stage == "deleted"
        earlier = client.create_run(store.experiment, tags=elsewhere).info.run_id
        client.set_terminated(earlier, end_time=1)
        assert store.find("twice") == earlier
        assert client.get_run(first).info.lifecycle_stage == "deleted"
    assert not [run for run in split(server)[1] if run.data.tags[store_room.PARENT] == first]


def publish_at_once(artifacts, key, count=8):
    """Let `count` processes publish the same at the same moment; return how they ended."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(count)

    def one():
        start.wait()
        add(a_record(key, seeds=SEEDS), artifacts)

    processes = [context.Process(target=one) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def only_one(uri, key):
    parents, children = split(uri)
    (parent,) = [run for run in parents if run.data.tags[store_room.KEY] == key]
    assert parent.info.status == "FINISHED"
    assert sum(run.data.tags[store_room.KEY].startswith(f"{key}/") for run in children) == len(SEEDS)


def test_eight_publishers_at_once_on_a_server(server, monkeypatch, artifacts):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # eight at once on a small machine
    assert publish_at_once(artifacts, "raced") == [0] * 8
    only_one(server, "raced")


def test_eight_publishers_at_once_on_sqlite(tmp_path, artifacts):
    empty_store(tmp_path)
    (tmp_path / "mlflow.db.lock").touch()
    assert publish_at_once(artifacts, "raced") == [0] * 8
    only_one(address(), "raced")


def test_a_server_that_is_killed_in_the_middle(tmp_path, monkeypatch, artifacts):
    folder = tmp_path / "server"
    folder.mkdir()
    empty_store(folder)
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with serving(folder, port) as (_, process), monkeypatch.context() as patch:
        real = MlflowClient.log_artifacts

        def kill(*arguments):
            real(*arguments)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        patch.setattr(MlflowClient, "log_artifacts", kill)
        with pytest.raises(UnavailableError, match=r"cannot be reached$"):
            add(a_record(seeds=SEEDS), artifacts)
    with serving(folder, port) as (address, _):
        assert [run.info.status for run in runs(address)] == ["RUNNING"]
        with connect() as store:
            assert not store.has("k")
            store.add(a_record(seeds=SEEDS), artifacts)
        only_one(address, "k")
        assert len(runs(address)) == 1 + len(SEEDS)


def test_an_experiment_that_was_deleted_comes_back(tmp_path, artifacts):
    empty_store(tmp_path)
    add(a_record(), artifacts)
    client = MlflowClient(tracking_uri=address())
    experiment = client.get_experiment_by_name("samebits")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    add(a_record("another"), artifacts)
    assert {run.data.tags["samebits.key"] for run in runs(address())} >= {"another"}


class Answer(BaseHTTPRequestHandler):
    server: "Answering"

    def do_GET(self):
        self.send_response(self.server.status)
        self.send_header("Retry-After", "120")
        self.end_headers()
        self.wfile.write(b"<html>s3cret is what you said</html>")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


class Answering(HTTPServer):
    def __init__(self, status):
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = status


@contextmanager
def answering(status):
    """A server that gives every question the same answer; None is no answer at all."""
    if status is None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield silent.getsockname()[1]
        return
    httpd = Answering(status)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield httpd.server_port
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (None, "does not answer; MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds each request may take"),
        (
            200,
            "answers, but not as MLflow does: is it another server's address?",
        ),
        (401, "refuses the user (error 401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"),
        (403, "refuses the user (error 403): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"),
        (500, "answers with error 500"),
        (503, "answers with error 503"),
    ],
)
def test_a_server_that_fails_is_a_sentence_within_seconds(status, reason, monkeypatch, capfd):
    with answering(status) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{SECRET}127.0.0.1:{port}")
        start = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            open_once()
    assert time.monotonic() - start < 8
    assert str(caught.value).startswith(f"MLflow at http://127.0.0.1:{port} {reason}")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_nothing_there(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{SECRET}127.0.0.1:{free_port()}")
    with pytest.raises(UnavailableError, match=r"^MLflow at http://127.0.0.1:\d+ cannot be reached$"):
        open_once()


def test_a_database_without_its_driver(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mssql://ann:s3cret@127.0.0.1/x")
    with pytest.raises(UnavailableError, match=r"cannot be used: ") as caught:
        open_once()
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "mlflow.db").write_text("hello, I am a text\n" * 100)
    with pytest.raises(UnavailableError, match=r"mlflow.db cannot be used: .*file is not a database$"):
        open_once()


def test_a_store_beside_which_nothing_can_be_written(tmp_path, monkeypatch):
    with disk(tmp_path / "read-only", "size=64k,ro") as folder:
        monkeypatch.setenv("DVC_ROOT", str(folder))
        with pytest.raises(UnavailableError, match=r"mlflow.db cannot be written: the file system is read-only$"):
            open_once()


def test_mlflow_starts_quiet_and_alone():
    """In a new process: no telemetry, no hints, and a user's own timeout stays."""
    code = "import os, samebits.tracking.store, samebits.tracking as t, mlflow.telemetry as m"
    code += "; print(m.get_telemetry_client())"
    own = environment(MLFLOW_HTTP_REQUEST_TIMEOUT="77", PYTHONPATH=str(ROOT))
    own = {name: value for name, value in own.items() if not name.startswith("MLFLOW_DISABLE")}
    code += "; print(*[os.environ[name] for name in t.PATIENCE])"
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("None\ntrue true 77 1 false false true\n", "")
