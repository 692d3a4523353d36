"""Addresses of stores: what is none is named with the way out, and a file is one by whatever path it has."""

import sqlite3
from contextlib import closing

import pytest
from mlflow import MlflowClient

from samebits.base.errors import UserError
from samebits.tracking import address as addresses
from samebits.tracking.address import address, file_of, shown
from tests.made.finished import empty_store, enter, runs
from tests.made.processes import free_port
from tests.tracking.test_store import a_record, add, artifacts, serving  # noqa: F401

ODD = ["a%41b", "50%", "a b", "a#b", "a?b", "ä'\"ö", "a;b&c=d", "a+b", "a@b:c", "[x]{y}$HOME~"]


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    enter(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("./mlruns", "is ./mlruns: it is a folder, and runs are kept in a database here: unset it"),
        ("file:./mlruns", "is file:./mlruns: it is a folder"),
        ("file:///tmp/mlruns", "is file:///tmp/mlruns: it is a folder"),
        ("~/mlruns", "is ~/mlruns: it is a folder"),
        ("mlruns", "is mlruns: it is no address: a server's begins with http://"),
        ("localhost:5000", "is localhost:5000: a server's address begins with http:// or https://: put that in front"),
        ("ann:s3cret@10.0.0.1:5000/x", "is 10.0.0.1:5000/x: a server's address begins with http"),
        (" http://ann:s3cret@host", "is http://host: it begins or ends with a blank"),
        ("http://host\n", "is http://host: it begins or ends with a blank"),
        ("  ", "begins or ends with a blank: leave that out, or unset it"),
        ("sqlite:///~/x.db", "is sqlite:///~/x.db: nobody takes ~ for your home there: write that out"),
        ("sqlite:////~ann/x.db", "nobody takes ~ for your home"),
        ("sqlite://x.db", "is sqlite://x.db: a file's address has three slashes"),
        ("sqlite:x.db", "is sqlite:x.db: a file's address has three slashes"),
        ("sqlite://ann:s3cret@host/x.db", "is sqlite://host/x.db: a file's address has three slashes"),
        ("sqlite:///", "it names no file"),
        ("sqlite:///:memory:", "it names no file, and what is kept in memory"),
        ("sqlite:///file:x.db?uri=true", "it must name the file itself"),
        ("http:/localhost:5000", "is http:/localhost:5000: it names no host"),
        ("http://", "it names no host"),
        ("http://ann:s3/cret@host", "is http://host: its host or its port cannot be read; in a user or a password"),
        ("http://ann/x:s3cret@host", "is http://host: what comes before its host has a character that ends it"),
        ("http://ann:s3#cret@host", r"is http://\*\*\*: its host or its port cannot be read"),
        ("http://host:x", "is http://host:x: its host or its port cannot be read"),
        ("http://host:5000/#/experiments/1", "is http://host:5000/: it is the address of a page: leave out #"),
        (
            "postgres://ann:s3cret@host/db",
            "is postgres://host/db: its kind is called postgresql: begin",
        ),
        ("postgresql+psycopg://ann:s@s3cret@host/db", "what comes before its host has a character that ends it"),
        ("postgresql+psycopg://ann@host:s3cret/db", "its host or its port cannot be read"),
        ("htp://ann:s3cret@host/x", "is htp://host/x: no store is of that kind: it is http, https, sqlite, postgresql"),
        ("mongodb+srv://ann:s3cret@host/x", "no store is of that kind"),
    ],
)
def test_what_is_no_address_is_named_with_the_way_out(said, reason, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", said)
    with pytest.raises(UserError, match=f"^MLFLOW_TRACKING_URI .*{reason}") as caught:
        address()
    assert "s3cret" not in str(caught.value).replace("host:s3cret/db", "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        "http://ann:s%2F3@host:5000/base",
        "https://[::1]:5000",
        "http://t0ken@host",
        "postgresql+psycopg://ann:s%403@host/db?sslmode=require",
        "postgresql:///db?host=/var/run",
        "mysql+pymysql://ann@host/db",
    ],
)
def test_what_is_one_stays_as_it_is(said, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", said)
    assert address() == said


def test_a_relative_file_is_the_project_s(tmp_path, monkeypatch):
    """As `dvc exp run --temp` has it, whose copy is deleted; and pinned, wherever this process goes."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    for said in ("sqlite:///mlflow.db", "SQLite:///mlflow.db", f"sqlite:///{tmp_path}/project/mlflow.db", ""):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", said)
        assert address() == f"sqlite:///{tmp_path}/project/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x%20y.db?timeout=30")
    addresses.pin()
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert file_of(address()) == tmp_path / "project/x y.db"
    assert address().endswith("?timeout=30")


@pytest.mark.parametrize("name", ODD)
def test_a_folder_by_any_name(name, tmp_path, monkeypatch, artifacts):  # noqa: F811
    """All is in it, and nothing is beside it."""
    folder = tmp_path / "of all" / name
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    empty_store(folder)
    add(a_record(), artifacts)
    (run,) = runs(address())
    assert {file.path for file in MlflowClient(tracking_uri=address()).list_artifacts(run.info.run_id)} == {
        "plots",
        "model.bin",
    }
    assert {path.name for path in folder.iterdir()} == {"mlflow.db", "mlflow.db.lock", "mlartifacts"}
    assert {path.name for path in tmp_path.iterdir()} == {"of all", "out"}
    assert [path.name for path in folder.parent.iterdir()] == [name]
    assert shown(address()) == f"sqlite:///{folder}/mlflow.db"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_a_server_on_a_folder_by_an_odd_name(tmp_path, monkeypatch, artifacts):  # noqa: F811
    """As `make ui` starts it."""
    folder = tmp_path / "a%41b ä#?"
    folder.mkdir()
    monkeypatch.chdir(folder)
    empty_store(folder)
    add(a_record(), artifacts)
    with serving(folder, free_port(), store=address()) as (uri, _):
        assert [run.info.run_name for run in runs(uri)] == ["digits mlp"]
    assert {path.name for path in tmp_path.iterdir()} == {"a%41b ä#?", "out"}
