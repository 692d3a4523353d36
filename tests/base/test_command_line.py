"""Every `python -m stages.NAME` fails with one sentence and loses nothing: real processes, real refusals."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from samebits.base.errors import reason
from tests.conftest import ROOT, run

STAGE = """
from pathlib import Path
from samebits.base.command_line import run_stage
from samebits.base.errors import UserError
from samebits.base.files import write_text

def main(what: str) -> None:
    "Do WHAT."
    if what == "mistake":
        raise UserError("that is not a number: give 1 or 2")
    if what.startswith("read "):
        Path(what.removeprefix("read ")).read_text()
    if what == "bug":
        raise ZeroDivisionError
    write_text(Path(what) / "out.txt", "x" * 100_000)

run_stage(main)
"""


def stage(argument, **changes):
    return run(sys.executable, "-c", STAGE, argument, cwd=ROOT, check=False, **changes)


def test_a_mistake_is_one_sentence_without_a_traceback():
    done = stage("mistake")
    assert done.returncode == 1
    assert done.stderr == "error: that is not a number: give 1 or 2\n"


def test_a_bug_keeps_its_traceback():
    done = stage("bug")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_help_and_a_missing_argument():
    assert "Do WHAT." in stage("--help").stdout
    assert run(sys.executable, "-c", STAGE, cwd=ROOT, check=False).returncode == 2


def test_a_file_in_a_folders_place(tmp_path):
    (tmp_path / "models").write_text("")
    done = stage(str(tmp_path / "models"))
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {tmp_path}/models/out.txt: a file is where a folder should be\n"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "a folder is where a file should be"),
        ("gone.txt", "no such file or directory"),
        ("x" * 300, "file name too long"),
    ],
)
def test_what_cannot_be_read_is_not_said_to_be_unwritable(tmp_path, path, said):
    done = stage(f"read {tmp_path / path}")
    assert (done.returncode, done.stderr) == (1, f"error: cannot use {tmp_path / path}: {said}\n")


def test_an_error_of_a_library_without_number_and_text():
    assert [reason(OSError("no header")), reason(OSError())] == ["no header", "OSError"]


@contextmanager
def disk(folder, options):
    """Mount a small file system of its own at `folder`, or skip the test where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(tmp_path):
    with disk(tmp_path / "small", "size=64k") as small:
        (small / "out.txt").write_text("the good one")
        done = stage(str(small))
        assert done.returncode == 1
        assert done.stderr == f"error: cannot write {small}/out.txt: the disk is full\n"
        assert [file.name for file in small.iterdir()] == ["out.txt"]
        assert (small / "out.txt").read_text() == "the good one"


def test_a_read_only_folder(tmp_path):
    with disk(tmp_path / "small", "size=64k,ro") as small:
        done = stage(str(small))
        assert done.returncode == 1
        assert done.stderr == f"error: cannot write {small}/out.txt: the file system is read-only\n"
