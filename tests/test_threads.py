"""Waiting threads do not spin for long, unless the user has it otherwise; and a machine that is refused says why."""

import sys

import pytest

from tests import trained
from tests.conftest import ROOT, run

SPIN = "import stages, os; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"


def spin(**environ):
    plain = {"GOMP_SPINCOUNT": "", "OMP_WAIT_POLICY": "", **environ}
    script = "import os\n" + "".join(f"os.environ.pop('{k}', 0)\n" for k, v in plain.items() if not v) + SPIN
    return run(sys.executable, "-c", script, cwd=ROOT, **plain).stdout.split()


def test_threads_spin_for_a_short_time():
    assert spin() == ["1000", "None"]


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({"GOMP_SPINCOUNT": "5"}, ["5", "None"]),
        ({"OMP_WAIT_POLICY": "active"}, ["None", "active"]),
    ],
)
def test_the_users_setting_wins(environ, seen):
    assert spin(**environ) == seen


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP along on Linux alone")
@pytest.mark.parametrize("module", ["stages.check", "stages.learning.device", "stages.exact"])
def test_the_library_reads_it_when_torch_loads_it(module):
    said = run(sys.executable, "-c", f"import {module}", cwd=ROOT, OMP_DISPLAY_ENV="verbose", GOMP_SPINCOUNT="77")
    assert "GOMP_SPINCOUNT = '77'" in said.stderr
    script = f"import os; os.environ.pop('GOMP_SPINCOUNT', 0); os.environ.pop('OMP_WAIT_POLICY', 0); import {module}"
    said = run(sys.executable, "-c", script, cwd=ROOT, OMP_DISPLAY_ENV="verbose").stderr
    assert "GOMP_SPINCOUNT = '1000'" in said


FLUSHED = "import runpy, sys, torch; torch.set_flush_denormal(True); module = sys.argv.pop(1); "
FLUSHED += "runpy.run_module(module, run_name='__main__')"


@pytest.mark.parametrize("stage", [["train_scratch", "digits"], ["train_concise", "digits", "mlp"],
                                   ["evaluate", "digits"], ["report"]], ids=" ".join)  # fmt: skip
def test_a_stage_on_a_machine_that_is_refused(stage):
    line = [sys.executable, "-c", FLUSHED, f"stages.{stage[0]}", *stage[1:]]
    done = run(*line, cwd=trained.digits(), check=False, PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: arithmetic exact cannot be done here: denormals are flushed to zero here, by")
    assert done.stderr.count("\n") == 1
