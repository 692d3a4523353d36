"""A lock of real processes."""

import subprocess
import sys

import pytest

from samebits.base.alone import alone
from samebits.base.errors import UserError
from tests.conftest import ROOT, fullmatch

HOLD = """
import sys, time
from pathlib import Path
from samebits.base.alone import alone
with alone(Path(sys.argv[1]), "the thing"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holding(tmp_path):
    line = [sys.executable, "-c", HOLD, str(tmp_path / "new/lock")]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_holds_it_is_named_and_a_killed_one_holds_nothing(holding, tmp_path, capsys):
    with pytest.raises(UserError) as refused, alone(tmp_path / "new/lock", "the thing"):
        pass
    said = rf"the thing is in use by process {holding.pid} on \S+: wait until it ends, or end it"
    fullmatch(said, str(refused.value))
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError), alone(tmp_path / "new/lock", "the thing", patience=1.5):
        pass
    assert capsys.readouterr().err.endswith(": waiting\n")
    holding.kill()
    holding.wait()
    for _ in range(2):
        with alone(tmp_path / "new/lock", "the thing"):
            pass


def test_where_nothing_can_be_written_nothing_is_held(tmp_path):
    (tmp_path / "file").touch()
    with alone(tmp_path / "file/lock", "the thing"), alone(tmp_path / "file/lock", "the thing"):
        pass


def test_an_error_inside_is_not_the_locks(tmp_path):
    with pytest.raises(OSError, match="mine"), alone(tmp_path / "lock", "the thing"):
        raise OSError("mine")
