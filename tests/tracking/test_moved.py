"""A store whose artifacts are not where it says: moved or copied with its project, deleted, or on a server's disk."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.commands import promote, ui
from samebits.tracking import publishing, registry
from samebits.tracking.address import address
from samebits.tracking.connection import UnavailableError
from samebits.tracking.store import MODEL
from tests.conftest import ROOT, run
from tests.made.described import describe_model
from tests.made.finished import empty_store, enter, finish, project, runs
from tests.made.processes import free_port
from tests.tracking.test_publishing import ALREADY, PUBLISHED, edit_params, parents
from tests.tracking.test_store import open_once, serving

SEEDS = (0, 1)
CHAMPION = "models:/samebits-digits@champion"
PROMOTED = f"{CHAMPION} is version 1: mlp, test accuracy 0.9000, the mean of 2 seeds\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project whose runs are published and promoted, and all of it."""
    folder = tmp_path / "first"
    folder.mkdir()
    enter(monkeypatch, folder)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    project(folder, "digits", seeds=SEEDS)
    for name in ("scratch", "concise", "mlp"):
        describe_model(folder, "digits", name, SEEDS)
    empty_store(folder)
    publishing.publish()
    promote.main(None)
    return folder


def command(folder, *line):
    """What a command prints, run in a process of its own: within one, MLflow remembers where a run's artifacts were."""
    return run(sys.executable, "-m", "samebits", *line, cwd=folder, PYTHONPATH=str(ROOT)).stdout


def files(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def a_new_result(folder):
    finish(folder, "digits", "concise", SEEDS, better=0.01)
    describe_model(folder, "digits", "concise", SEEDS)


@pytest.mark.parametrize("name", ["second", "se%41nd ä#1"])
def test_a_store_that_was_moved_with_its_project(folder, monkeypatch, capsys, name):
    there = folder.rename(folder.with_name(name))
    monkeypatch.chdir(there)
    capsys.readouterr()
    assert registry.fetch(CHAMPION, there / "fetched").is_file(), "whoever comes first mends it"
    said = f"note: sqlite:///{there}/mlflow.db was made elsewhere: its artifacts are in {there}/mlartifacts now, "
    assert capsys.readouterr() == ("", f"{said}no longer in {folder}/mlartifacts\n")
    assert command(there, "publish") == ALREADY
    assert command(there, "promote") == PROMOTED
    a_new_result(there)
    assert command(there, "publish") == ALREADY.replace("concise: already there", "concise: published")
    assert not folder.exists()
    client = MlflowClient(tracking_uri=address())
    for each in parents(address()):
        assert each.info.artifact_uri.startswith((there / "mlartifacts").as_uri())
        assert client.get_logged_model(each.data.tags[MODEL]).artifact_location.startswith(there.as_uri())


def test_a_copy_writes_nothing_into_the_first_checkout(folder):
    before = files(folder)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    a_new_result(copy)
    assert command(copy, "publish") == ALREADY.replace("concise: already there", "concise: published")
    assert files(folder) == before
    assert len(list((copy / "mlartifacts").glob("*/artifacts/metrics.json"))) == 4
    assert command(folder, "publish") == ALREADY, "the first is as it was"


def test_a_database_that_was_copied_alone(folder, monkeypatch):
    """What is said to be already there is made anew here; the other checkout may go any time."""
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("mlartifacts"))
    monkeypatch.chdir(copy)
    assert command(copy, "publish") == ALREADY.replace("already there", "its artifacts were gone: published anew")
    assert registry.fetch(CHAMPION, copy / "fetched").is_file()


def test_a_place_that_somebody_has_chosen_stays(folder, monkeypatch):
    chosen = folder.with_name("large disk")
    chosen.mkdir()
    empty_store(folder)
    MlflowClient(tracking_uri=address()).create_experiment("samebits", artifact_location=chosen.as_uri())
    shutil.rmtree(folder / "mlartifacts")
    publishing.publish()
    assert len(list(chosen.glob("*/artifacts/metrics.json"))) == 3
    assert not (folder / "mlartifacts").exists()


def test_artifacts_that_were_deleted_are_published_anew(folder, capsys):
    model = sha256(folder / "models/digits/mlp/model.safetensors")
    before = {each.info.run_id for each in runs(address())}
    shutil.rmtree(folder / "mlartifacts")
    with pytest.raises(UserError, match=r"^the best run of digits, mlp \(\w+\), has lost its model: `samebits publish"):
        promote.main(None)
    with pytest.raises(
        UserError, match=r"has models:/samebits-digits/1, but its file is not there any more: `samebits"
    ):
        registry.fetch(CHAMPION, folder / "lost")
    capsys.readouterr()
    publishing.publish()
    publishing.publish()
    promote.main(None)
    anew = ALREADY.replace("already there", "its artifacts were gone: published anew")
    assert capsys.readouterr().out == anew + ALREADY + PROMOTED
    assert {each.info.run_id for each in runs(address())} == before, "the runs are those that were there"
    assert sha256(registry.fetch(CHAMPION, folder / "fetched")) == model


@pytest.mark.parametrize("lost", ["*/artifacts/plots/*.svg", "*/artifacts/metrics.json", "models/*/artifacts/*/*.saf*"])
def test_a_single_file_that_was_deleted(folder, capsys, lost):
    gone = sorted((folder / "mlartifacts").glob(lost))[0]
    gone.unlink()
    capsys.readouterr()
    publishing.publish()
    assert capsys.readouterr().out.count("published anew") == 1
    assert gone.is_file()


@contextmanager
def served(folder, monkeypatch, *options, **settings):
    """A real server that stands on `folder`, with options of its own."""
    line = ui.server
    with monkeypatch.context() as patch:
        patch.setattr(ui, "server", lambda port: [*line(port), *options])
        with serving(folder, free_port(), **settings) as (uri, _):
            yield uri


def test_a_server_that_keeps_no_artifacts(folder, monkeypatch, capsys):
    """They would land here, under its path; and once it keeps some, nothing is left that prevents it."""
    place = folder.with_name("server")
    place.mkdir()
    empty_store(place)
    with served(place, monkeypatch, "--no-serve-artifacts", "--default-artifact-root", str(place / "own")) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        for _ in range(2):
            with pytest.raises(UnavailableError, match=rf"^MLflow at {uri} keeps no artifacts: .* in {place}/own/\d"):
                publishing.publish()
        assert not (place / "own").exists()
    with served(place, monkeypatch, "--artifacts-destination", str(place / "kept")) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        capsys.readouterr()
        publishing.publish()
        assert capsys.readouterr().out == PUBLISHED
        shutil.rmtree(place / "kept")
        publishing.publish()
        assert capsys.readouterr().out.count("published anew") == 3
        promote.main(None)
        assert registry.fetch(CHAMPION, place / "fetched").is_file()
    # Without the server nobody reaches what it keeps.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
    with pytest.raises(UnavailableError, match=r"leaves its artifacts to a server: MLFLOW_TRACKING_URI must be that"):
        open_once()


def test_a_server_on_a_database_that_knows_local_paths(folder, monkeypatch):
    """As `make ui` serves it: from another machine each would write to its own disk."""
    with served(folder, monkeypatch) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        for ask in (publishing.publish, lambda: registry.fetch(CHAMPION, folder / "fetched")):
            with pytest.raises(
                UnavailableError, match=rf"keeps no artifacts: .* in {folder}/mlartifacts, which is the"
            ):
                ask()


def test_what_dvc_links_into_its_cache_is_published(folder, capsys, tmp_path):
    """MLflow refuses a link that leads out of its folder; with DVC's `cache.type symlink` all outputs are such."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for number, file in enumerate(sorted(Path(folder, "models").rglob("*.*"))):
        file.rename(cache / str(number))
        file.symlink_to(cache / str(number))
    empty_store(folder)
    capsys.readouterr()
    publishing.publish()
    promote.main(None)
    assert capsys.readouterr().out == PUBLISHED + PROMOTED
    fetched = registry.fetch(CHAMPION, folder / "fetched")
    assert sha256(fetched) == sha256(folder / "models/digits/mlp/model.safetensors")
    assert not fetched.is_symlink()


def test_a_parameter_that_changed_is_another_run(folder):
    edit_params("lr: 0.01", "lr: 0.02")
    publishing.publish()
    assert len(parents(address())) == 4
