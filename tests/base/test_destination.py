import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from samebits.base.destination import deliver
from samebits.base.errors import WriteError
from tests.conftest import ROOT

SCRIPT = "from pathlib import Path; from samebits.base.destination import deliver; deliver('ü\\n', Path({!r}))"


def delivered(to, **options):
    """What a process whose standard output is as `options` say writes to `to`."""
    line = [sys.executable, "-c", f"print('first', flush=True); {SCRIPT.format(to)}; print('last')"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run(line, env=environment, check=True, text=True, **options).stdout


@pytest.mark.parametrize("to", ["-", "/dev/stdout", "/proc/self/fd/1"])
def test_standard_output_is_written_to_and_stays_what_it_is(tmp_path, to):
    before = os.lstat("/dev/stdout").st_mode
    assert delivered(to, stdout=subprocess.PIPE) == "first\nü\nlast\n"
    with (tmp_path / "out").open("a+") as out:  # as a shell's >> has it
        delivered(to, stdout=out)
        out.seek(0)
        assert out.read() == "first\nü\nlast\n"
    assert os.lstat("/dev/stdout").st_mode == before


def test_a_pipe_with_a_name_is_written_to(tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    deliver("ü", pipe)
    reader.join()
    assert found == ["ü"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one(tmp_path, there):
    (tmp_path / "results").mkdir()
    target, link = tmp_path / "results/gate.md", tmp_path / "gate.md"
    if there:
        target.write_text("old")
    link.symlink_to("results/gate.md")
    deliver("new", link)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["gate.md"]


def test_a_file_is_replaced_whole_and_a_folder_is_refused(tmp_path):
    file = tmp_path / "deep/file"
    deliver("old", file)
    deliver("new", file)
    assert file.read_text() == "new"
    with pytest.raises(WriteError):
        deliver("new", tmp_path)
    with pytest.raises(WriteError):
        deliver("new", Path("/dev/full"))
