"""Verification by the real Git and the real DVC: of a toy pipeline that takes no time, and of the real stages."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from samebits.claims import ledger
from tests.conftest import ROOT, dvc, environment, make_checkout, run

# Stages are declared, and named, against the order in which they run.
PIPELINE = """
stages:
  report:
    cmd: python toy.py report
    deps: [metrics]
    params: [datasets]
    outs: [reports]
  evaluate:
    matrix: {dataset: "${datasets}"}
    cmd: python toy.py evaluate ${item.dataset}
    deps: ["models/${item.dataset}"]
    outs: ["metrics/${item.dataset}.csv"]
  train:
    matrix: {dataset: "${datasets}"}
    cmd: python toy.py train ${item.dataset}
    deps: [toy.py]
    params: [lr]
    outs: ["models/${item.dataset}"]
"""
TOY = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from safetensors.numpy import load_file, save_file

stage, dataset = [*sys.argv, ""][1:3]
if "SEEN" in os.environ:
    names = ["MLFLOW_TRACKING_URI", "DATASET_MIRROR", "DVC_ROOT"]
    seen = {name: os.environ.get(name) for name in names}
    seen |= {"folder": os.getcwd(), "downloads": os.path.realpath("data/.downloads")}
    Path(os.environ["SEEN"]).write_text(json.dumps(seen))
    try:
        time.sleep(float(os.environ.get("SLEEP", 0)))
    except KeyboardInterrupt:
        time.sleep(2)  # as long as it takes to tidy up
        Path(os.environ["SEEN"]).write_text("tidied up" if Path("toy.py").exists() else "too late")
        raise
if stage == "train":
    Path("models", dataset).mkdir(parents=True)
    weight = np.ones((1, 2, 3))
    weight[0, 1] *= 1.0
    save_file({"bias": np.zeros(3), "weight": weight}, f"models/{dataset}/model.safetensors")
elif stage == "evaluate":
    loss = load_file(f"models/{dataset}/model.safetensors")["weight"].sum()
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics", f"{dataset}.csv").write_text(f"seed,loss\\n0,{loss}\\n")
else:
    Path("reports").mkdir()
    Path("reports", "index.html").write_text("report")
"""
OTHER = ("*= 1.0", "*= 1.25")  # another constant in TOY


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The toy, with results for `here` and `apart` committed, of which params.yaml names `here` alone."""
    folder = tmp_path_factory.mktemp("toy") / "toy"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "catalog.yaml").write_text("{}\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "toy.py").write_text(TOY)
    (folder / "params.yaml").write_text("datasets: [apart]\nlr: 0.1\n")
    (folder / ".gitignore").write_text("/models/\n/metrics/\n/reports/\n/data/.downloads/\n")
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    run("git", "config", "user.name", "Test", cwd=folder)
    run("git", "config", "user.email", "test@example.org", cwd=folder)
    dvc("init", "--quiet", cwd=folder)
    dvc("repro", cwd=folder)
    edit(folder, "params.yaml", "[apart]", "[here]")
    dvc("repro", cwd=folder)
    commit(folder)
    return folder


@pytest.fixture
def toy(finished, tmp_path):
    """A copy of the finished toy with its cache; temporary folders are made beside it."""
    return shutil.copytree(finished, tmp_path / "toy", symlinks=True)


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


def commit(folder):
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message", "results", cwd=folder)


def settings(folder, **changes):
    temporary = folder.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    return {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), **changes}


def verify(folder, *arguments, **changes):
    line = [sys.executable, "-m", "samebits", "verify", *arguments]
    done = run(*line, cwd=folder, check=False, **settings(folder, **changes))
    assert "Traceback" not in done.stderr, done.stderr
    assert not list((folder.parent / "temporary").glob("samebits-*"))
    return done


def recorded(folder):
    """The one line of the ledger."""
    (line,) = ledger.lines_in((folder / ledger.LEDGER).read_text(), "here")
    return line


def test_reproduced(toy):
    head = run("git", "rev-parse", "--short", "HEAD", cwd=toy).stdout.strip()
    mine = toy.parent / "mine.db"
    (toy / "data/.downloads").mkdir(exist_ok=True)  # as an earlier download leaves it
    (toy.parent / "config").write_text(f"[cache]\n    dir = {toy / '.dvc' / 'cache'}\n")  # one cache for all projects
    common = {"DVC_GLOBAL_CONFIG_DIR": str(toy.parent), "MLFLOW_TRACKING_URI": f"sqlite:///{mine}"}
    done = verify(toy, **common, SEEN=str(toy.parent / "seen"), DATASET_MIRROR="../data")
    assert (done.returncode, done.stdout) == (
        0,
        f"reproduced: all 3 outputs of 3 stages in dvc.lock ({head}) came out bit for bit the same on this machine\n",
    )
    assert re.findall("Running stage '(.+)'", done.stderr) == ["train@here", "evaluate@here", "report"]
    assert "note:" not in done.stderr
    assert run("git", "status", "--porcelain", cwd=toy).stdout == ""
    stage = json.loads((toy.parent / "seen").read_text())
    assert stage["folder"].startswith(f"{toy.parent}/temporary/samebits-")
    assert (stage["MLFLOW_TRACKING_URI"], stage["DVC_ROOT"]) == ("sqlite:///mlflow.db", stage["folder"])
    assert not mine.exists()
    assert os.path.realpath(stage["DATASET_MIRROR"]) == str(toy.parent / "data")
    assert stage["downloads"] == str(toy / "data" / ".downloads")


def with_an_overlay(toy):
    """The toy, whose results of `apart` are claimed with another learning rate, and depend on it."""
    edit(toy, "toy.py", "weight[0, 1] *= 1.0", "weight *= 2.0 if 'lr: 0.2' in Path('params.yaml').read_text() else 1.0")
    dvc("repro", cwd=toy)
    before = (toy / "params.yaml").read_text()
    (toy / "params.yaml").write_text("datasets: [apart]\nlr: 0.2\n")
    dvc("repro", "evaluate@apart", cwd=toy)
    (toy / "params.yaml").write_text(before)


def test_what_is_claimed_beside_params_yaml(toy):
    with_an_overlay(toy)
    (toy / "claims.yaml").write_text("apart:\n  lr: 0.2\n")
    commit(toy)
    done = verify(toy, "here", "apart")
    assert (done.returncode, done.stdout[:41]) == (0, "reproduced: all 4 outputs of 4 stages in "), done.stdout
    assert re.findall("Running stage '(.+)'", done.stderr) == [
        "train@here", "evaluate@here", "train@apart", "evaluate@apart"
    ]  # fmt: skip
    assert "note:" not in done.stderr  # of parameters that are not those of dvc.lock
    assert (toy / "params.yaml").read_text() == "datasets: [here]\nlr: 0.1\n"


def test_without_what_is_claimed_beside_it_differs(toy):
    with_an_overlay(toy)
    commit(toy)
    done = verify(toy, "here", "apart")
    assert done.returncode == 1
    assert "stage train@apart differs first" in done.stdout


def test_what_params_yaml_names_it_says_itself(toy):
    (toy / "claims.yaml").write_text("here:\n  lr: 0.2\n")
    commit(toy)
    assert verify(toy, "here").returncode == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[apart]\n", "claims.yaml should hold datasets, and for each the keys of params.yaml that are other for it"),
        ("apart: lr\n", "claims.yaml should hold datasets, and for each the keys of params.yaml that are other for it"),
        ("apart: {datasets: [here]}\n", "claims.yaml: apart.datasets is not for here: what is said is of apart alone"),
        ("apart: [\n", "claims.yaml"),
    ],
)
def test_what_claims_yaml_cannot_say(toy, text, fault):
    (toy / "claims.yaml").write_text(text)
    commit(toy)
    done = verify(toy, "apart")
    assert done.returncode == 1
    assert fault in done.stderr.splitlines()[-1]


def test_it_makes_nothing_here(toy):
    before = sorted(toy.rglob("*"))
    assert verify(toy).returncode == 0
    assert [path for path in toy.rglob("*") if path not in before and ".git" not in path.parts] == []


def test_the_first_difference_is_named(toy):
    edit(toy, "toy.py", *OTHER)
    commit(toy)
    done = verify(toy, "--record")
    assert (done.returncode, done.stdout) == (
        1,
        "NOT reproduced: stage train@here differs first, in models/here/model.safetensors: "
        "tensor weight of shape (1, 2, 3), 3 of 6 values differ, by at most 0.25\n",
    )
    assert "note: stage evaluate@here differs too, in metrics/here.csv\n" in done.stderr
    assert re.search("note: dvc.lock at .* was not made by that commit; it had another toy.py\n", done.stderr)
    assert "note: a line was added to claims/ledger.csv: commit it\n" in done.stderr
    line = recorded(toy)
    assert list(line.claimed) == ["here"]
    assert line.outcome == f"here={line.seen['here']}" != line.results
    shown = run(sys.executable, "-m", "samebits", "ledger", cwd=toy, check=False, **settings(toy))
    assert shown.returncode == 1
    assert f"NOT one hash: here should be {line.claimed['here']}, and was {line.seen['here']} on" in shown.stdout


def test_a_difference_whose_other_side_is_nowhere(toy):
    """Where somebody else's commit is verified in a fresh clone, only hashes are known."""
    edit(toy, "toy.py", *OTHER)
    commit(toy)
    for folder in ["models", "metrics", ".dvc/cache"]:
        shutil.rmtree(toy / folder)
    done = verify(toy, "here")
    assert done.returncode == 1
    assert re.fullmatch(
        "NOT reproduced: stage train@here differs first, in models/here: MD5 .*dir.* in dvc.lock, .* here; .*\n",
        done.stdout,
    )
    assert "`dvc pull`" in done.stdout


def test_an_earlier_commit_and_a_dataset_that_params_yaml_does_not_name(toy):
    """As if from a hook, where GIT_DIR means the user's repository in whatever folder a command runs."""
    edit(toy, "toy.py", *OTHER)
    commit(toy)
    earlier = run("git", "rev-parse", "--short", "HEAD~1", cwd=toy).stdout.strip()
    edit(toy, "toy.py", "import json", "fail")
    hook = {"GIT_DIR": str(toy / ".git"), "GIT_INDEX_FILE": str(toy / ".git" / "index")}
    done = verify(toy, "apart", "--rev", "HEAD~1", "--record", **hook)
    assert done.stdout.startswith(f"reproduced: all 2 outputs of 2 stages in dvc.lock ({earlier})"), done.stderr
    assert f"note: what is verified is commit {earlier}, without the uncommitted changes here\n" in done.stderr
    assert run("git", "symbolic-ref", "HEAD", cwd=toy).stdout == "refs/heads/main\n"
    assert (list(recorded(toy).claimed), recorded(toy).outcome, recorded(toy).threads) == (["apart"], "same", "1")


def test_a_stage_that_fails_is_named(toy):
    edit(toy, "toy.py", '== "evaluate":', '== "evaluate": sys.exit("no evaluation today")\nelif 0:')
    commit(toy)
    done = verify(toy)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no evaluation today" in done.stderr
    assert "error: the pipeline failed in stage evaluate@here, for the reason above" in done.stderr


def test_interrupting_it_leaves_nothing_behind(toy):
    seen = toy.parent / "seen"
    process = subprocess.Popen(
        [sys.executable, "-m", "samebits", "verify", "here"],
        cwd=toy,
        env=environment(**settings(toy, SEEN=str(seen), SLEEP="100")),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while not seen.exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        clone = toy.parent / "temporary"
        assert list(clone.glob("samebits-*"))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal's Ctrl-C does: to every process of the group
        verdict, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, verdict) == (130, "")
    assert said.endswith("error: interrupted; nothing half-written is left behind\n")
    assert not list(clone.glob("samebits-*"))
    assert seen.read_text() == "tidied up"


def without_lock(toy):
    (toy / "dvc.lock").unlink()
    commit(toy)


def with_an_empty_lock(toy):
    (toy / "dvc.lock").write_text("schema: '2.0'\n")
    commit(toy)


def without_git(toy):
    shutil.rmtree(toy / ".git")


def without_a_commit(toy):
    shutil.rmtree(toy / ".git")
    run("git", "init", "--quiet", cwd=toy)


def with_a_dataset_more(toy):
    edit(toy, "params.yaml", "[here]", "[here, new]")
    commit(toy)


def with_a_broken_pipeline(toy):
    edit(toy, "dvc.yaml", "stages:", "stage:")
    commit(toy)


def with_a_mangled_ledger(toy):
    (toy / "claims").mkdir()
    (toy / "claims/ledger.csv").write_text("mangled\n")


def as_it_is(toy):
    pass


@pytest.mark.parametrize(
    ("change", "arguments", "said"),
    [
        (without_git, [], "verifying what is committed needs Git \\(not a git"),
        (without_a_commit, [], "there is no commit 'HEAD' here"),
        (as_it_is, ["--rev", "nowhere"], "there is no commit 'nowhere' here"),
        (without_lock, [], "there is no dvc.lock at [0-9a-f]+: `make repro` makes it"),
        (with_an_empty_lock, [], "dvc.lock at [0-9a-f]+ has no entries"),
        (as_it_is, ["new"], "dvc.lock at [0-9a-f]+ has no entries for new, only for apart, here\n"),
        (as_it_is, ["here-and", "apart"], "dvc.lock at [0-9a-f]+ has no entries for here-and, only for apart, here\n"),
        (with_a_dataset_more, [], "dvc.lock at [0-9a-f]+ has no entry for evaluate@new, train@new: `make repro`"),
        (with_a_mangled_ledger, ["--record"], "claims/ledger.csv has lost its header: its first line should be "),
        (with_a_broken_pipeline, [], "DVC cannot read the pipeline at [0-9a-f]+: .*dvc.yaml"),
    ],
)
def test_what_cannot_be_verified_is_refused_before_anything_runs(toy, change, arguments, said):
    change(toy)
    done = verify(toy, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(f"^error: {said}", done.stderr, re.MULTILINE), done.stderr
    assert "Running stage" not in done.stderr


def test_the_real_training_with_another_constant(tmp_path):
    """dvc.lock was written by a scratch.py that steps a little further than the one committed beside it."""
    folder = make_checkout(tmp_path / "samebits")
    pipeline = (folder / "dvc.yaml").read_text()
    kept = pipeline[: pipeline.index("\n  train-concise:")]  # three stages tell as much as seven, and sooner
    (folder / "dvc.yaml").write_text(kept + "\n")
    edit(folder, "params.yaml", "epochs: 20", "epochs: 1")
    commit(folder)
    scratch = folder / "samebits/learning/scratch.py"
    original = scratch.read_text()
    edit(folder, "samebits/learning/scratch.py", "w.sub_(v * lr)", "w.sub_(v * lr * 1.0000001)")
    dvc("repro", cwd=folder)
    scratch.write_text(original)
    commit(folder)
    done = verify(folder, "digits")
    assert done.returncode == 1
    found = re.fullmatch(
        "NOT reproduced: stage train-scratch@digits differs first, in models/digits/scratch/model.safetensors: tensor "
        r"bias of shape \(10, 10\), \d+ of 100 values differ, by at most (.+) \(and 1 more of 2 tensors\)\n",
        done.stdout,
    )
    assert found, done.stdout + done.stderr
    assert 0 < float(found[1]) < 1e-6
    assert "it had another samebits/learning/scratch.py\n" in done.stderr
