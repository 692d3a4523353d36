"""The real dvc.yaml, run by the real DVC on `digits`, in a repository of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, dvc, environment, make_checkout, run
from tests.made.dying import wait_for

RUNS = ["scratch", "concise", "mlp"]


@pytest.fixture(scope="module")
def repro(tmp_path_factory):
    """A checkout after `dvc repro`, with dvc.lock committed."""
    folder = make_checkout(tmp_path_factory.mktemp("pipeline") / "samebits")
    dvc("repro", cwd=folder)
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message", "reproduced", cwd=folder)
    return folder


def outputs(folder):
    names = dvc("ls", ".", "--recursive", "--dvc-only", cwd=folder).stdout.split()
    return {name: (folder / name).read_bytes() for name in names}


def set_param(folder, old, new):
    path = folder / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_matrix_has_exactly_these_stages():
    listed = dvc("stage", "list", "--name-only", cwd=ROOT).stdout.split()
    expected = ["report"]
    for dataset in ["fashion_mnist", "mnist"]:
        expected += [f"{stage}@{dataset}" for stage in ["download", "preprocess", "train-scratch", "evaluate"]]
        expected += [f"train-concise@{dataset}-{model}" for model in ["concise", "mlp"]]
    assert sorted(listed) == sorted(expected)


def test_repro_writes_every_output_and_leaves_git_clean(repro):
    written = outputs(repro)
    # digits are few: at the notes' learning rate the network has hardly begun after its nine epochs
    for name, least in [("scratch", 0.8), ("concise", 0.8), ("mlp", 0.15)]:
        metrics = json.loads(written[f"metrics/digits/{name}.json"])
        assert metrics["test"]["accuracy"]["mean"] > least
        assert len(metrics["test"]["loss"]["per_seed"]) == len(metrics["seeds"])
        assert f"models/digits/{name}/model.safetensors" in written
        assert f"models/digits/{name}/history.csv" in written
        assert written[f"predictions/digits/{name}.csv"].startswith(b"index,actual,predicted,probability\n")
    assert b"<html" in written["reports/index.html"]
    assert run("git", "status", "--porcelain", cwd=repro).stdout == ""
    assert "up to date" in dvc("status", cwd=repro).stdout


def test_a_second_repro_runs_nothing(repro):
    assert "Running stage" not in dvc("repro", cwd=repro).stdout


def stale(folder):
    """The stages whose dependencies changed."""
    return set(json.loads(dvc("status", "--json", cwd=folder).stdout)) - {"report"}


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("samebits/learning/scratch.py", {"train-scratch@digits", "evaluate@digits"}),
        ("samebits/learning/concise.py", {"train-concise@digits-concise", "train-concise@digits-mlp",
                                           "evaluate@digits"}),
        ("samebits/datasets/catalog.py", {"download@digits", "preprocess@digits"}),
        ("samebits/base/command_line.py", set()),
        ("samebits/base/params.py", {"preprocess@digits", "train-scratch@digits", "train-concise@digits-concise",
                       "train-concise@digits-mlp", "evaluate@digits"}),
    ],
)  # fmt: skip
def test_a_docstring_runs_again_what_it_may_concern_and_no_more(repro, file, wanted):
    path = repro / file
    before = path.read_text()
    path.write_text(before.replace('"""', '"""Indeed. ', 1))
    try:
        assert stale(repro) == wanted
    finally:
        path.write_text(before)


def test_published_runs_are_there_once(repro):
    said = run(sys.executable, "-m", "samebits", "publish", cwd=repro).stdout
    assert said.count("already there") == 3


def test_dvc_shows_metrics_and_plots(repro):
    metrics = json.loads(dvc("metrics", "show", "--json", cwd=repro).stdout)
    assert set(metrics[""]["data"]) == {f"metrics/digits/{name}.json" for name in RUNS}
    plots = json.loads(dvc("plots", "show", "--json", cwd=repro).stdout)
    assert plots


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lr: 0.1", "lr: -1", "scratch.lr is -1, but it should be greater than 0"),
        ("lr: 0.01", "lr: 1e30", "train-concise@digits-mlp: digits mlp seed 0, epoch 1, step "),
    ],
)
def test_a_failed_stage_says_why_and_leaves_the_outputs_as_they_were(repro, old, new, said):
    before, params = outputs(repro), (repro / "params.yaml").read_text()
    set_param(repro, old, new)
    try:
        failed = dvc("repro", cwd=repro, check=False)
    finally:
        (repro / "params.yaml").write_text(params)
    assert failed.returncode != 0
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr
    assert outputs(repro) == before


def test_interrupting_a_stage_leaves_the_outputs_as_they_were(repro):
    before, params = outputs(repro), (repro / "params.yaml").read_text()
    set_param(repro, "epochs: 20", "epochs: 100000")
    command = [sys.executable, "-m", "dvc", "repro", "train-scratch@digits"]
    process = subprocess.Popen(
        command, cwd=repro, env=environment(), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: not (repro / "models/digits/scratch/history.csv").exists())
        time.sleep(4)  # well into training
        os.killpg(process.pid, signal.SIGINT)  # as a terminal's Ctrl-C does: to every process of the group
        _, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        (repro / "params.yaml").write_text(params)
    assert process.returncode != 0
    assert "interrupted" in said
    assert "Traceback" not in said
    assert outputs(repro) == before


def test_an_experiment_compares_with_what_was_committed(repro):
    dvc("exp", "run", "-S", "scratch.lr=0.5", "-S", "scratch.epochs=2", cwd=repro)
    changed = json.loads(dvc("metrics", "diff", "--json", cwd=repro).stdout)
    assert "metrics/digits/scratch.json" in changed
    assert "metrics/digits/concise.json" not in changed
    params = json.loads(dvc("params", "diff", "--json", cwd=repro).stdout)
    assert params["params.yaml"]["scratch.lr"] == {"old": 0.1, "new": 0.5, "diff": 0.4}
    assert json.loads(dvc("exp", "show", "--json", cwd=repro).stdout)
