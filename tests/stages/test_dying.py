"""A stage that dies in any way which a process can see leaves the outputs of its last good run in place."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from samebits.base import last_good
from tests.conftest import ROOT, dvc, environment
from tests.made.dying import begin, ended, outputs, small_project, stage_of, wait_until_said

SLOW = "\nimport time\nprint('slow', flush=True)\ntime.sleep(60)\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return small_project(tmp_path_factory.mktemp("dying") / "samebits")


@pytest.fixture
def before(made):
    dvc("checkout", "--force", cwd=made)
    found = outputs(made)
    assert "data/processed/digits/train.safetensors" in found
    return found


@contextmanager
def planted(path, text):
    """Text at the end of a module."""
    before = path.read_bytes()
    path.write_bytes(before + text.encode())
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("stages/preprocess.py", "\ndef f(:\n", "SyntaxError"),
        ("samebits/datasets/idx.py", "\ndef f(:\n", "SyntaxError"),
        ("samebits/datasets/catalog.py", "\nimport nothing_of_this_name\n", "ModuleNotFoundError"),
        ("samebits/datasets/prepare.py", "\nx = bytearray(1 << 60)\n", "MemoryError"),
        ("samebits/datasets/split.py", "\nraise SystemExit(3)\n", "exited with 3"),
    ],
)
def test_a_failure_while_the_stage_is_imported(made, before, module, text, said):
    with planted(made / module, text):
        failed = dvc("repro", "--single-item", "--force", "preprocess@digits", cwd=made, check=False)
    assert failed.returncode != 0
    assert said in failed.stderr
    assert outputs(made) == before


def test_a_memory_limit_under_which_torch_cannot_be_loaded(made, before):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (700 << 20, resource.RLIM_INFINITY))\n"
    path = made / "stages/preprocess.py"
    text = path.read_text()
    path.write_text(text.replace("\nfrom pathlib", f"\n{limit}from pathlib", 1))
    try:
        failed = dvc("repro", "--single-item", "--force", "preprocess@digits", cwd=made, check=False)
    finally:
        path.write_text(text)
    assert failed.returncode != 0
    assert outputs(made) == before


@pytest.mark.parametrize(
    ("number", "whom", "shell"),
    [
        (signal.SIGTERM, "group", "/bin/bash"),
        (signal.SIGTERM, "stage", "/bin/bash"),
        (signal.SIGTERM, "dvc", "/bin/bash"),
        (signal.SIGTERM, "dvc", "/bin/sh"),  # which may stay between DVC and the stage
        (signal.SIGHUP, "group", "/bin/sh"),
        (signal.SIGINT, "stage", "/bin/bash"),
    ],
)
def test_a_signal(made, before, number, whom, shell):
    with planted(made / "samebits/datasets/table.py", SLOW):
        line = ["-m", "dvc", "repro", "--single-item", "--force", "preprocess@digits"]
        process = begin(*line, cwd=made, SHELL=shell)
        wait_until_said(process, "slow")
        assert not (made / "data/processed/digits").exists()
        at = {"group": -process.pid, "stage": stage_of(made), "dvc": process.pid}[whom]
        os.kill(at, number) if at > 0 else os.killpg(-at, number)
        said = ended(process)
    assert "error: preprocess@digits: interrupted; nothing half-written is left behind" in said
    assert "Traceback" not in said
    if whom == "stage":
        assert f"exited with {128 + number}" in said
    assert outputs(made) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_holds_ctrl_c_holds_the_others(tmp_path, number):
    """While LLVM compiles: what is raised in its callbacks is printed and forgotten, and the stage would go on."""
    script = (
        "import os, sys\nfrom samebits.base import last_good\nlast_good.keep()\n"
        "from samebits.exact.integers.interrupts import held\n"
        f"with held():\n    os.kill(os.getpid(), {number:d})\n    print('whole', flush=True)\nprint('went on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(DVC_STAGE="none", PYTHONPATH=str(ROOT)),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (128 + number, "whole\n")


def test_whoever_waits_for_a_stage_that_ends_finds_its_outputs(made, before):
    """Its lock is held until they are back."""
    with planted(made / "samebits/datasets/table.py", SLOW):
        process = begin("-m", "dvc", "repro", "--single-item", "--force", "preprocess@digits", cwd=made)
        wait_until_said(process, "slow")
        os.kill(stage_of(made), signal.SIGTERM)
        last_good.wait(made, 30)
        there = (made / "data/processed/digits/train.safetensors").exists()
        ended(process)
    assert there
    assert outputs(made) == before


@pytest.mark.parametrize("module", ["samebits/base/alone.py", "stages/preprocess.py"])
def test_a_signal_at_the_very_moment_at_which_outputs_are_put_back(made, before, module):
    """Python is at its end: a signal that came in C is handled at the first instruction of what is called then."""
    line = "import atexit, ctypes\natexit.register(ctypes.CDLL(None)['raise'], 15)\n"
    path, fails = made / module, made / "samebits/datasets/split.py"
    text = path.read_text()
    path.write_text(line + text)
    try:
        with planted(fails, "\nraise SystemExit(3)\n"):
            failed = dvc("repro", "--single-item", "--force", "preprocess@digits", cwd=made, check=False)
    finally:
        path.write_text(text)
    assert "exited with 3" in failed.stderr
    assert outputs(made) == before


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_dvc_killed_alone_takes_the_stage_along_and_a_repro_at_once_is_told_of_it(made, before, shell):
    with planted(made / "samebits/datasets/table.py", SLOW):
        line = ["-m", "dvc", "repro", "--single-item", "--force", "preprocess@digits"]
        process = begin(*line, cwd=made, SHELL=shell)
        wait_until_said(process, "slow")
        stage = stage_of(made)
        os.kill(stage, signal.SIGSTOP)  # it notices nothing
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        refused = dvc("repro", "--single-item", "--force", "preprocess@digits", cwd=made, check=False)
        os.kill(stage, signal.SIGCONT)
        ended(process)
    assert refused.returncode != 0
    assert f"error: stage preprocess@digits is in use by process {stage} on " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert outputs(made) == before


DROPPED = """
import gc, time
class Deaf:
    def __del__(self):
        print('slow', flush=True)
        time.sleep(5)
x = Deaf()
x.itself = x
del x
gc.collect()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_python_drops_exceptions(made, before, number):
    """In a destructor, or in the import of a module, where nothing can be raised: it is not lost."""
    with planted(made / "samebits/datasets/split.py", DROPPED):
        process = begin("-m", "dvc", "repro", "--single-item", "--force", "preprocess@digits", cwd=made)
        wait_until_said(process, "slow")
        os.kill(stage_of(made), number)
        said = ended(process, seconds=30)
    assert "interrupted" in said
    assert "Deaf" not in said
    assert outputs(made) == before
