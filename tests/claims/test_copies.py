"""Copies in which the pipeline runs: the project stays as it is, whatever its form and whenever a copy is killed."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from samebits.base.params import load
from samebits.claims import copies
from tests.conftest import environment, make_checkout, run

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


def test_a_pipeline_that_fails_is_a_sentence(checkout):
    (checkout / "stages/evaluate.py").write_text("raise SystemExit(1)\n")
    done = subprocess.run(
        [sys.executable, "-m", "samebits", "gate", "digits", "--repro"],
        cwd=checkout, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("error: the pipeline failed in stage evaluate@digits, for the reason above\n")
