"""Waiting threads do not spin for long, unless the user has it otherwise; and a machine that is refused says why."""

import sys

import pytest

from tests.conftest import ROOT, fullmatch, run
from tests.made import trained

SPIN = "import stages, os; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"


def python(script, **environ):
    """Run a script with no settings of waiting threads but these."""
    unset = ["env", "-u", "GOMP_SPINCOUNT", "-u", "OMP_WAIT_POLICY"]
    return run(*unset, *(f"{k}={v}" for k, v in environ.items()), sys.executable, "-c", script, cwd=ROOT)


def test_threads_spin_for_a_short_time():
    assert python(SPIN).stdout.split() == ["1000", "None"]


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({"GOMP_SPINCOUNT": "5"}, ["5", "None"]),
        ({"OMP_WAIT_POLICY": "active"}, ["None", "active"]),
    ],
)
def test_the_users_setting_wins(environ, seen):
    assert python(SPIN, **environ).stdout.split() == seen


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP along on Linux alone")
@pytest.mark.parametrize("module", ["stages.train_scratch", "stages.report"])
def test_the_library_reads_it_when_torch_loads_it(module):
    script = f"import {module}"
    assert "GOMP_SPINCOUNT = '77'" in python(script, OMP_DISPLAY_ENV="verbose", GOMP_SPINCOUNT="77").stderr
    assert "GOMP_SPINCOUNT = '1000'" in python(script, OMP_DISPLAY_ENV="verbose").stderr


FLUSHED = "import runpy, sys, torch; torch.set_flush_denormal(True); module = sys.argv.pop(1); "
FLUSHED += "runpy.run_module(module, run_name='__main__')"


@pytest.mark.parametrize("stage", [["train_scratch", "digits"], ["train_concise", "digits", "mlp"],
                                   ["evaluate", "digits"], ["report"]], ids=" ".join)  # fmt: skip
def test_a_stage_on_a_machine_that_is_refused(stage):
    line = [sys.executable, "-c", FLUSHED, f"stages.{stage[0]}", *stage[1:]]
    done = run(*line, cwd=trained.digits(), check=False, PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout) == (1, "")
    said = r"error: arithmetic (exact|wide) cannot be done here: denormals are flushed to zero here, by torch: .*\n"
    fullmatch(said, done.stderr)
    assert done.stderr.count("\n") == 1
