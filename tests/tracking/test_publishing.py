import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from samebits.base import git
from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256, write_json, write_text
from samebits.base.params import RUNS, load
from samebits.commands import publish
from samebits.outcome.reader import StaleError
from samebits.report.style import COLORS, OTHERS, colors
from samebits.tracking import best_effort, publishing
from samebits.tracking.colors import color
from tests.conftest import ROOT, fullmatch, run
from tests.made.finished import empty_store, enter, finish, project, runs

SCRATCH, CONCISE, MLP = (f"digits {name}: published\n" for name in ("scratch", "concise", "mlp"))
PUBLISHED = SCRATCH + CONCISE + MLP
ALREADY = PUBLISHED.replace("published", "already there")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The finished outputs of all runs of digits, here."""
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return project(tmp_path, "digits")


@pytest.fixture
def store(folder):
    empty_store(folder)
    return f"sqlite:///{folder}/mlflow.db"


def parents(uri):
    return [entry for entry in runs(uri) if "mlflow.parentRunId" not in entry.data.tags]


def edit(path, **changes):
    write_json(path, read_json(path) | changes)


def edit_params(old, new):
    text = Path("params.yaml").read_text()
    assert old in text
    Path("params.yaml").write_text(text.replace(old, new, 1))


def test_twice_is_once(store, capsys):
    publishing.publish()
    assert capsys.readouterr().out == PUBLISHED
    first = [entry.info.run_id for entry in parents(store)]
    publishing.publish("digits")
    publishing.publish()
    assert capsys.readouterr().out == ALREADY * 2
    assert [entry.info.run_id for entry in parents(store)] == first
    assert len(first) == 3


def test_what_a_run_holds(folder, store):
    hashed = sha256(folder / "models/digits/mlp/model.safetensors")
    log = {"model_sha256": hashed, "device": "cuda:0", "seconds": 42.5, "versions": {"torch": "2.15.0"}}
    write_json(folder / "logs/digits/mlp.json", log)
    write_json(folder / "logs/digits/scratch.json", log)
    publishing.publish()
    scratch, _, mlp = sorted(parents(store), key=lambda entry: list(RUNS).index(entry.data.tags["run"]))
    assert mlp.info.run_name == "digits mlp"
    assert mlp.data.params == {
        "dataset": "digits",
        "run": "mlp",
        "arithmetic": "float32 1",
        "resize": "None",
        "validation_size": "0",
        "seeds": "[0]",
        "epochs": "2",
        "batch_size": "64",
        "lr": "0.01",
        "momentum": "0.5",
        "init_std": "None",
        "hidden": "[520, 320]",
        "parameters": "195",
    }
    assert mlp.data.metrics == {"train_loss": 0.5, "train_accuracy": 0.9, "test_loss": 0.125, "test_accuracy": 0.9}
    assert (
        mlp.data.tags.items()
        >= {
            "dataset": "digits",
            "run": "mlp",
            "dataset_digest": f"{0:064x}",
            "model_sha256": hashed,
            "device": "cuda:0",
            "seconds": "42.5",
            "torch": "2.15.0",
            "mlflow.note.content": "Digits, mlp: test accuracy 0.9000",
        }.items()
    )
    assert mlp.info.end_time - mlp.info.start_time == 42_500
    assert len({entry.data.tags["mlflow.runColor"] for entry in parents(store)}) == 3
    assert "device" not in scratch.data.tags, "the log is of another model"
    client = MlflowClient(tracking_uri=store)
    files = {"model", "plots", "history.csv", "metrics.json", "classes.csv", "confusion.csv", "predictions.csv"}
    assert {file.path for file in client.list_artifacts(mlp.info.run_id)} == files
    assert {file.path for file in client.list_artifacts(mlp.info.run_id, "plots")} == {
        "plots/learning_curves.svg",
        "plots/confusion_matrix.svg",
    }
    (kept,) = (folder / "mlartifacts").glob(f"{mlp.info.run_id}/artifacts/model/model.safetensors")
    assert sha256(kept) == hashed
    assert "Ankle boot" in kept.parents[1].joinpath("plots/confusion_matrix.svg").read_text()


def test_the_curve_is_the_mean_of_the_seeds_and_ends_in_the_evaluation(tmp_path, store):
    project(tmp_path, "digits", seeds=(0, 1))
    publishing.publish()
    client = MlflowClient(tracking_uri=store)
    entry = next(entry for entry in parents(store) if entry.data.tags["run"] == "scratch")

    def curve(name):
        points = client.get_metric_history(entry.info.run_id, name)
        return {point.step: point.value for point in points}

    assert curve("train_loss") == {1: 1 + 1 / 16, 2: 1 / 2 + 1 / 16, 3: pytest.approx(1 / 3 + 1 / 16)}
    assert curve("test_loss") == {1: 2 + 1 / 16, 2: 1 + 1 / 16, 3: 0.125}
    assert curve("test_accuracy")[3] == 0.8
    assert curve("test_accuracy_std") == {0: 0.0125}
    assert curve("test_accuracy_ci95_low") == {0: pytest.approx(0.77)}
    assert curve("test_accuracy_ci95_high") == {0: pytest.approx(0.83)}
    assert entry.data.tags["mlflow.note.content"].endswith("0.8000 (standard deviation 0.0125 over 2 seeds)")


def test_what_cannot_be_known_by_mlflow_is_not_in_the_key(folder, monkeypatch):
    key = publishing.record("digits", "mlp", load()).key
    assert len(key) == 64
    write_json(folder / "logs/digits/mlp.json", {"model_sha256": "0", "device": "tpu", "versions": {}})
    for path in folder.rglob("*.csv"):
        os.utime(path, (0, 0))
    monkeypatch.setattr(git, "checkout", lambda: git.Checkout("c" * 40, "trunk", dirty=True))
    edit_params("lr: 0.1,", "lr: 0.5,")  # of scratch
    assert publishing.record("digits", "mlp", load()).key == key


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: edit_params("lr: 0.01", "lr: 0.02"),
        lambda folder: edit_params("momentum: 0.5", "momentum: 0.9"),
        lambda folder: edit_params("arithmetic: float32", "arithmetic: exact"),
        lambda folder: edit_params("validation_size: 0", "validation_size: 10"),
        lambda folder: edit_params("resize: null", "resize: 8"),
        lambda folder: edit(folder / "data/processed/digits/summary.json", digest="1" * 64),
        lambda folder: edit(folder / "metrics/digits/mlp.json", parameters=196),
        lambda folder: finish(folder, "digits", "mlp", better=0.01),
    ],
)
def test_another_result_is_another_run(folder, change):
    key = publishing.record("digits", "mlp", load()).key
    change(folder)
    assert publishing.record("digits", "mlp", load()).key != key


def test_results_that_come_back_are_already_there(folder, store, capsys):
    publishing.publish()
    finish(folder, "digits", "mlp", better=0.01)
    edit_params("lr: 0.01", "lr: 0.02")
    publishing.publish()
    finish(folder, "digits", "mlp")
    edit_params("lr: 0.02", "lr: 0.01")
    capsys.readouterr()
    publishing.publish()
    assert capsys.readouterr().out == ALREADY
    assert len(parents(store)) == 4


def a_log(folder, **changes):
    hashed = sha256(folder / "models/digits/mlp/model.safetensors")
    return json.dumps(
        {"model_sha256": hashed, "device": "cpu", "threads": 1, "seconds": 1.0, "versions": {}, **changes}
    )


@pytest.mark.parametrize(
    "log",
    [
        lambda folder: "",
        lambda folder: "[1]",
        lambda folder: "{}",
        lambda folder: '{"model_sha256": "0", "seconds": 7}',
        lambda folder: "[" * 100_000,
        lambda folder: "\0",
        lambda folder: a_log(folder, seconds="x"),
        lambda folder: a_log(folder, seconds=float("nan")),
        lambda folder: a_log(folder, seconds=float("inf")),
        lambda folder: a_log(folder, seconds=-1),
        lambda folder: a_log(folder, seconds=1e300),
        lambda folder: a_log(folder, seconds=None),
        lambda folder: a_log(folder, versions=3),
        lambda folder: a_log(folder, versions={"": "1"}),
        lambda folder: a_log(folder, versions={"a/../b": "1"}),
        lambda folder: a_log(folder, versions={"torch": "2" * 10_000}),
        lambda folder: a_log(folder, device={"of": "another form"}),
    ],
)
def test_nothing_hangs_on_the_log_of_the_training(folder, store, log, capsys):
    write_text(folder / "logs/digits/mlp.json", log(folder))
    publishing.publish()
    assert capsys.readouterr().out == PUBLISHED
    (mlp,) = (entry for entry in parents(store) if entry.data.tags["run"] == "mlp")
    assert not {"device", "seconds"} & set(mlp.data.tags)
    assert mlp.info.end_time == mlp.info.start_time


def test_a_log_says_nothing_of_the_result(folder):
    log = a_log(folder, versions={"run": "scratch", "dataset": "mnist", "torch": "3"}, more=[1])
    write_text(folder / "logs/digits/mlp.json", log)
    found = publishing.record("digits", "mlp", load()).tags
    assert (found["run"], found["dataset"], found["torch"]) == ("mlp", "digits", "3")


@pytest.mark.parametrize("kind", ["a folder", "a loop", "a pipe", "below a file"])
def test_a_log_that_cannot_be_read(folder, kind):
    file = folder / "logs/digits/mlp.json"
    file.parent.mkdir(parents=True)
    if kind == "a folder":
        file.mkdir()
    elif kind == "a loop":
        file.symlink_to(file)
    elif kind == "a pipe":
        os.mkfifo(file)
    else:
        file.parent.rmdir()
        file.parent.write_text("a file")
    assert publishing.record("digits", "mlp", load()).seconds == 0


@pytest.mark.parametrize(
    "missing",
    [
        "models/digits/concise/model.safetensors",
        "models/digits/concise/history.csv",
        "metrics/digits/concise.json",
        "metrics/digits/concise_classes.csv",
        "metrics/digits/concise_confusion.csv",
        "predictions/digits/concise.csv",
    ],
)
def test_a_run_that_is_not_finished_is_named_and_left_out(folder, store, capsys, missing):
    (folder / missing).unlink()
    publishing.publish()
    stage = "train-concise@digits-concise" if missing.startswith("models") else "evaluate@digits"
    reason = f"digits concise: not published: {missing} is missing: run `dvc repro {stage}`\n"
    assert capsys.readouterr().out == reason + SCRATCH + MLP


def overwrite(path, text):
    return lambda folder: (folder / path).write_text(text)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            lambda folder: edit(folder / "metrics/digits/concise.json", model_sha256="0"),
            "metrics/digits/concise.json was measured on another model than models/digits/concise",
        ),
        (
            lambda folder: edit_params("2, batch_size: 128", "4, batch_size: 128"),
            "models/digits/concise/history.csv has other seeds or epochs than params.yaml",
        ),
        (
            lambda folder: finish(folder, "digits", "concise", (0, 7)),
            "models/digits/concise/history.csv has other seeds or epochs than params.yaml",
        ),
        (overwrite("metrics/digits/concise.json", '{"see'), "metrics/digits/concise.json is damaged (Unterminated"),
        (overwrite("metrics/digits/concise.json", "{}"), "metrics/digits/concise.json is damaged (seeds is missing; "),
        (overwrite("metrics/digits/concise.json", "[]"), "metrics/digits/concise.json is damaged (the file is [], "),
        (overwrite("models/digits/concise/history.csv", ""), "models/digits/concise/history.csv is damaged (No col"),
        (
            overwrite("models/digits/concise/history.csv", "seed\n0\n"),
            "models/digits/concise/history.csv is damaged (no column epoch",
        ),
        (overwrite("models/digits/concise/model.safetensors", "?"), "models/digits/concise/model.safetensors is dama"),
    ],
)
def test_outputs_that_do_not_belong_together_are_left_out(folder, fault, reason):
    fault(folder)
    with pytest.raises(StaleError) as caught:
        publishing.record("digits", "concise", load())
    assert str(caught.value).startswith(reason)


def test_a_parameter_that_changed_after_the_training(folder):
    """The outputs still fit each other, so only dvc.lock can tell."""
    out = {"path": "models/digits/mlp", "md5": "0dea" * 8, "size": 3}
    stage = {"cmd": "python", "outs": [out], "params": {"params.yaml": {"mlp.lr": 0.02}}}
    locked = json.dumps({"schema": "2.0", "stages": {"train-concise@digits-mlp": stage}})
    (folder / "dvc.lock").write_text(f"{locked}\n")
    publishing.record("digits", "concise", load())
    with pytest.raises(
        StaleError,
        match=r"^mlp.lr in params.yaml has changed since digits mlp was trained: run `dvc repro evaluate@digits`$",
    ):
        publishing.record("digits", "mlp", load())


def test_nothing_finished_makes_no_store(folder, capsys):
    for name in RUNS:
        (folder / f"metrics/digits/{name}.json").unlink()
    publishing.publish()
    assert capsys.readouterr().out.count("not published") == 3
    assert not (folder / "mlflow.db").exists()


def test_a_dataset_that_params_does_not_name(folder, store, capsys):
    """Its outputs are as good as others'; where there are none, `dvc repro` makes none."""
    with pytest.raises(UserError, match=r"^unknown dataset 'mnits': the catalog has fashion_mnist, mnist, digits$"):
        publishing.publish("digits", "mnits")
    edit_params("[digits]", "[mnist]")
    assert publishing.publish("digits") == 3
    assert capsys.readouterr().out == PUBLISHED
    (folder / "metrics/digits/scratch.json").unlink()
    assert publishing.publish("digits") == 2
    said = "metrics/digits/scratch.json is missing, and params.yaml does not name digits\n"
    assert capsys.readouterr().out.startswith(f"digits scratch: not published: {said}")
    edit_params("[mnist]", "[nodata]")
    with pytest.raises(UserError, match=r"^unknown dataset 'nodata'"):
        publishing.publish()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"^no run is finished, so there is nothing to publish$"),
        ({"all_experiments": True}, r"^DVC has no experiments here: `dvc exp run` makes one$"),
    ],
)
def test_nothing_published_is_no_success(folder, options, said):
    run("git", "init", "--quiet", cwd=folder)
    (folder / "data/processed/digits/summary.json").unlink()
    with pytest.raises(UserError, match=said):
        publish.main(**options)


@pytest.mark.parametrize("options", [{"rev": "HEAD"}, {"all_experiments": True}])
def test_without_git_it_is_git_that_is_missing(folder, options, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    with pytest.raises(UserError, match=r"needs Git \(not a git repository"):
        publish.main(**options)


def test_killed_in_the_middle(folder, store, capsys):
    code = """
import os, signal
from mlflow import MlflowClient
from samebits.tracking.publishing import publish
MlflowClient.set_terminated = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
publish()
"""
    killed = run(sys.executable, "-c", code, cwd=folder, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [entry.info.status for entry in parents(store)] == ["RUNNING"]
    publishing.publish()
    assert capsys.readouterr().out == PUBLISHED
    assert [entry.info.status for entry in parents(store)] == ["FINISHED"] * 3
    assert len({entry.data.tags["samebits.key"] for entry in parents(store)}) == 3


def test_two_publishers_at_once_and_no_database_yet(folder, capfd):
    both = [threading.Thread(target=best_effort.publish, kwargs={"hurry": False}) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    printed = capfd.readouterr()
    lines = [*PUBLISHED.splitlines(), *ALREADY.splitlines(), "setting up mlflow.db"]
    assert (sorted(printed.out.splitlines()), printed.err) == (sorted(lines), "")
    assert len(parents(f"sqlite:///{folder}/mlflow.db")) == 3


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_by_hand_a_dead_server_is_exit_code_3(folder):
    address = f"http://ann:s3cret@127.0.0.1:{closed_port()}"
    done = run(sys.executable, "-m", "samebits", "publish", cwd=folder, check=False, MLFLOW_TRACKING_URI=address)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"error: MLflow at {address.replace('ann:s3cret@', '')} cannot be reached\n"


def test_each_dataset_and_run_has_its_own_colour(tmp_path, store):
    """MLflow's charts know runs apart by nothing else."""
    project(tmp_path, "digits", "mnist")
    publishing.publish()
    assert len({entry.data.tags["mlflow.runColor"] for entry in parents(store)}) == 6
    bases = colors([*RUNS, *(f"own{i}" for i in range(len(OTHERS)))])
    many = [color(bases[run], place) for place in range(12) for run in RUNS]
    assert len(set(many)) == len(many)
    assert [color(bases[run], 0) for run in RUNS] == list(COLORS.values())
    for place in range(12):  # of networks of one's own those of one dataset alone
        assert len({color(base, place) for base in bases.values()}) == len(bases)
    assert all(fullmatch("#[0-9a-f]{6}", each) for each in many)


def test_a_copy_of_the_project_publishes_into_the_project(folder, tmp_path_factory, monkeypatch, capsys):
    """As DVC has it with --temp and --queue, which delete the copy: with the address that docs/predict.md tells."""
    home = tmp_path_factory.mktemp("home")
    empty_store(home)
    monkeypatch.setenv("DVC_ROOT", str(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    best_effort.publish(hurry=False)
    assert len(parents(f"sqlite:///{home}/mlflow.db")) == 3
    assert (home / "mlartifacts").is_dir()
    assert not list(folder.glob("ml*"))
