"""MLflow on PostgreSQL, for real: a database of Debian's package, made for these tests in a temporary folder."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from samebits.tracking.connection import UnavailableError
from samebits.tracking.store import connect
from tests.made.processes import free_port
from tests.made.proxy import proxy
from tests.tracking.test_store import a_record, add, artifacts, only_one, publish_at_once, serving  # noqa: F401

FOUND = [shutil.which("pg_ctl"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")))]
PG_CTL = next(filter(None, reversed(FOUND)), None)

pytestmark = pytest.mark.skipif(not PG_CTL, reason="PostgreSQL is not installed here")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The address of an empty database."""
    driver = next(filter(importlib.util.find_spec, ("psycopg", "psycopg2")), None)
    if not driver:
        pytest.skip("neither psycopg nor psycopg2 is installed here, by which PostgreSQL is spoken to")
    folder, port = Path("/tmp") / f"samebits-pg-{os.getpid()}", free_port()
    folder.mkdir()
    account: dict[str, Any] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)

    def pg(program, *arguments, check=True):
        assert PG_CTL is not None
        line = [Path(PG_CTL).with_name(program), *arguments]
        log = (folder.with_suffix(".log")).open("ab")
        subprocess.run(line, cwd=folder, check=check, stdout=log, stderr=log, **account)

    pg("initdb", "-D", folder / "data", "-U", "ann", "--auth", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    pg("pg_ctl", "-D", folder / "data", "-w", "-o", options, "start")
    try:
        yield f"postgresql+{driver}://ann@127.0.0.1:{port}/postgres"
    finally:
        pg("pg_ctl", "-D", folder / "data", "-w", "-m", "immediate", "stop", check=False)
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink()


def test_eight_publishers_at_once(database, tmp_path, monkeypatch, artifacts):  # noqa: F811
    """First straight into the empty database, which they set up; then by way of a server on it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    assert publish_at_once(artifacts, "straight") == [0] * 8
    only_one(database, "straight")
    assert (tmp_path / "mlartifacts").is_dir()
    another = tmp_path / "another checkout"
    another.mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(another)
        with pytest.raises(UnavailableError, match=r"not in .*another checkout/mlartifacts: a server keeps them"):
            add(a_record("elsewhere"), artifacts)
    move_aside(database)  # for a server's clients would take its paths for their own
    served = tmp_path / "served"
    served.mkdir()
    with serving(served, free_port(), store=database) as (address, _):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        assert publish_at_once(artifacts, "served") == [0] * 8
        add(a_record("served"), artifacts)
        only_one(address, "served")


def move_aside(uri):
    """Give the experiment another name, as who wants its artifacts elsewhere has to."""
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name("samebits")
    if found:
        client.rename_experiment(found.experiment_id, f"samebits {found.experiment_id}")


def test_a_database_that_is_not_there(database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    port = database.rpartition(":")[2].partition("/")[0]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database.replace("ann@", "ann:s3cret@").replace(port, str(free_port())))
    with (
        pytest.raises(UnavailableError, match=r"cannot be used: .*Connection refused") as caught,
        connect(),
    ):
        pass
    assert "s3cret" not in str(caught.value)


def test_answers_that_come_by_the_byte(database, monkeypatch, tmp_path):
    """The driver, which is C, would wait for ever: it is left behind."""
    monkeypatch.chdir(tmp_path)
    port = database.rpartition(":")[2].partition("/")[0]
    with proxy(int(port)) as slow:
        move_aside(database)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database.replace(port, str(slow.port)))
        with connect() as store:
            slow.trickles = b"SELECT"
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                store.find("k")
            assert time.monotonic() - began < 45
