"""Copies in which the pipeline runs: the project stays as it is, whatever its form and whenever a copy is killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from samebits.base.errors import UserError
from samebits.base.params import load
from samebits.claims import copies
from samebits.commands import claims, demo, gate, reference
from tests.conftest import environment, make_checkout, run
from tests.made.dying import begin, ended, wait_for, wait_until_said

TWO = """
stages:
  first: {cmd: echo 1 > one, outs: [one]}
  second: {cmd: echo 2 > two, deps: [one, gone], outs: [two]}
"""
BLOCK = "datasets:      # as `dvc exp run -S` leaves lists\n- fashion_mnist\n- mnist\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout whose params.yaml has its list of datasets in block style."""
    folder = make_checkout(tmp_path_factory.mktemp("checkout") / "samebits")
    params = (folder / "params.yaml").read_text().replace("datasets: [digits]\n", BLOCK)
    assert BLOCK in params
    (folder / "params.yaml").write_text(params)
    run("git", "commit", "--quiet", "--all", "--message", "block style", cwd=folder)
    return folder


@pytest.fixture
def checkout(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "samebits", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def test_a_copy_names_other_datasets_and_nothing_here_changes(checkout):
    before = (checkout / "params.yaml").read_bytes()
    with copies.naming(["digits"]) as copy:
        there, here = load(copy / "params.yaml"), load()
        assert there == here.model_copy(update={"datasets": ["digits"]})
        assert here.datasets == ["fashion_mnist", "mnist"]
        assert not (copy / "data/raw").exists()
        said = subprocess.run(
            [sys.executable, "-m", "dvc", "stage", "list", "--name-only"], cwd=copy, capture_output=True, text=True
        )
        assert "evaluate@digits" in said.stdout.split(), said.stderr
    assert not copy.exists()
    assert (checkout / "params.yaml").read_bytes() == before
    assert run("git", "status", "--porcelain", cwd=checkout).stdout == ""


@pytest.fixture
def spoilt(checkout):
    (checkout / ".demo").mkdir()
    (checkout / ".demo/kept").touch()
    return checkout


@pytest.mark.parametrize("params", ["", "[1]", "datasets: [digits]", "mlp: 3"])
@pytest.mark.parametrize("main", [demo.main, claims.main])
def test_wrong_parameters_are_a_sentence_before_anything_is_touched(spoilt, params, main):
    (spoilt / "params.yaml").write_text(params)
    with pytest.raises(UserError, match=r"^params.yaml: "):
        main()
    assert (spoilt / ".demo/kept").exists()


@pytest.mark.parametrize("main", [demo.main, claims.main, gate.main, reference.main])
def test_a_dataset_that_the_catalog_does_not_have_is_named_before_anything_is_touched(spoilt, main):
    catalog = spoilt / "data/catalog.yaml"
    catalog.write_text(catalog.read_text().replace("\nmnist:", "\nnmist:").replace("\ndigits:", "\nbigits:"))
    with pytest.raises(UserError, match=r"^unknown dataset '(mnist|digits)': the catalog has fashion_mnist, nmist, "):
        main()
    assert (spoilt / ".demo/kept").exists()


def test_a_copy_of_a_commit_may_have_parameters_without_keys(checkout):
    (checkout / "params.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match=r"^params.yaml holds no keys: datasets cannot be set in the copy of it"):
        copies.set_params(checkout, {"datasets": ["digits"]})


@pytest.mark.parametrize("line", [["claims"], ["gate", "digits", "--repro"], ["demo"]], ids=" ".join)
def test_killed_in_the_middle(checkout, line):
    """SIGKILL, for the whole group, as soon as the first stage runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "samebits", *line], cwd=checkout, env=environment(), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for said in process.stderr:
            if said.startswith("Running stage"):
                break
        else:
            pytest.fail("no stage ran")
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert run("git", "status", "--porcelain", cwd=checkout).stdout == ""


def test_the_gate_runs_digits_in_a_copy_and_finds_them_there(checkout):
    """No output of digits comes here: params.yaml does not name them."""
    done = subprocess.run(
        [sys.executable, "-m", "samebits", "gate", "digits", "--repro"],
        cwd=checkout, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert "Running stage 'evaluate@digits'" in done.stderr
    assert (done.returncode, done.stdout) == (0, "\n".join(done.stdout.splitlines()) + "\n"), done.stderr
    assert "gate: passed: identical, every figure has the bits of the reference" in done.stdout
    assert run("git", "status", "--porcelain", cwd=checkout).stdout == ""
    assert not (checkout / "models").exists()
    again = subprocess.run(
        [sys.executable, "-m", "samebits", "gate", "digits", "--repro"],
        cwd=checkout, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert "Running stage" not in again.stderr, "DVC's cache has it"
    assert again.stdout == done.stdout


def test_dvc_that_fails_before_or_after_a_stage_is_not_said_to_fail_in_it(checkout):
    """The first stage runs, then a file that the next depends on is not there."""
    (checkout / "dvc.yaml").write_text(TWO)
    with pytest.raises(UserError, match=r"^the pipeline failed after stage first, for the reason above$"):
        copies.repro([], checkout, os.environ)
    (checkout / "dvc.yaml").write_text("stages: 3\n")
    with pytest.raises(UserError, match=r"^DVC failed before it ran a stage, for the reason above$"):
        copies.repro([], checkout, os.environ)


def test_a_pipeline_that_fails_is_a_sentence(checkout):
    (checkout / "stages/evaluate.py").write_text("raise SystemExit(1)\n")
    done = subprocess.run(
        [sys.executable, "-m", "samebits", "gate", "digits", "--repro"],
        cwd=checkout, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("error: the pipeline failed in stage evaluate@digits, for the reason above\n")


def test_logs_are_brought_along_as_far_as_they_can_be_read(checkout):
    """No result depends on them, so nothing that lies there keeps a revision from being looked at."""
    (checkout / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    run("git", "add", "dvc.lock", cwd=checkout)
    run("git", "commit", "--quiet", "--message", "finished", cwd=checkout)
    (checkout / "logs/mnist").mkdir(parents=True)
    (checkout / "logs/mnist/mlp.json").write_text("{}")
    (checkout / "logs/gone").symlink_to("nowhere")
    os.mkfifo(checkout / "logs/pipe")
    with copies.checked_out("HEAD") as copy:
        assert (copy / "logs/mnist/mlp.json").read_text() == "{}"
    shutil.rmtree(checkout / "logs")
    (checkout / "logs").touch()
    with copies.checked_out("HEAD") as copy:
        assert (copy / "params.yaml").exists()


@pytest.fixture
def small(made, tmp_path):
    """A checkout of one epoch and one seed, whose dvc.lock knows of nothing."""
    folder = shutil.copytree(made, tmp_path / "samebits", symlinks=True)
    params = folder / "params.yaml"
    params.write_text(
        re.sub(r"(seeds|epochs): \d+", r"\1: 1", params.read_text().replace(BLOCK, "datasets: [digits]\n"))
    )
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message", "small", cwd=folder)
    return folder


@pytest.mark.parametrize("moment", ["Running stage 'preprocess@digits'", "Running stage 'report'"])
def test_claims_killed_at_any_moment_leave_dvc_lock_as_it_was(small, moment):
    """The last stage too, of what params.yaml names."""
    process = begin("-m", "samebits", "claims", cwd=small)
    wait_until_said(process, moment)
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    assert run("git", "status", "--porcelain", cwd=small).stdout == ""


def test_claims_killed_before_outputs_came_here_leave_a_dvc_lock_that_is_true(small):
    process = begin("-m", "samebits", "claims", cwd=small)
    wait_for(lambda: process.poll() is not None or len((small / "dvc.lock").read_bytes()) > 1000, seconds=300)
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    claimed = (small / "dvc.lock").read_bytes()
    done = run(sys.executable, "-m", "samebits", "repro", cwd=small)
    assert "Running stage" not in done.stdout
    assert (small / "dvc.lock").read_bytes() == claimed
    assert (small / "reports/index.html").exists()
    assert run("git", "status", "--porcelain", cwd=small).stdout == " M dvc.lock\n"


def test_copies_of_the_killed_go_a_day_later(checkout, tmp_path, monkeypatch):
    """By the next one. What is younger, in use, somebody's own of a like name, or a link stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    process = begin("-m", "samebits", "gate", "digits", "--repro", cwd=checkout, TMPDIR=str(tmp_path / "tmp"))
    wait_until_said(process, "Running stage")
    [copy] = (tmp_path / "tmp").glob("samebits-*")
    own = tmp_path / "tmp/samebits-mine"
    own.mkdir()

    def left(age):
        for path in (copy, copy / copies.IN_USE, own):
            os.utime(path, (time.time() - age, time.time() - age))
        with copies.temporary():
            pass
        return copy.exists()

    assert left(age=copies.ABANDONED + 60), "it is in use"
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    assert left(age=60), "it is young"
    assert not left(age=copies.ABANDONED + 60)
    assert own.exists()


def test_sigterm_ends_a_copy_and_what_runs_in_it(checkout, tmp_path):
    process = begin("-m", "samebits", "gate", "digits", "--repro", cwd=checkout, TMPDIR=str(tmp_path))
    wait_until_said(process, "Running stage 'train")
    process.terminate()
    said = ended(process)
    assert process.returncode == 143
    assert "Traceback" not in said
    assert list(tmp_path.glob("samebits-*")) == []
