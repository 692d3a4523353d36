"""A small project whose pipeline ran, and ways to die: for the tests of what is left then, tests/faults/ too."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.conftest import dvc, environment, make_checkout, run

SMALL = {r"seeds: \d+": "seeds: 1", r"epochs: \d+": "epochs: 1"}


def small_project(folder: Path, changes: Mapping[str, str] = SMALL) -> Path:
    """A checkout on `digits`, after `dvc repro`, with dvc.lock committed.

    `changes` are of its params.yaml, by pattern: one seed and one epoch for each run.
    """
    make_checkout(folder)
    params = (folder / "params.yaml").read_text()
    for pattern, text in changes.items():
        params = re.sub(pattern, text, params)
    (folder / "params.yaml").write_text(params)
    dvc("repro", cwd=folder)
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message", "reproduced", cwd=folder)
    return folder


def outputs(folder: Path) -> dict[str, bytes]:
    """Every file that DVC keeps, as it is now; one that is missing is not in it."""
    names = dvc("ls", ".", "--recursive", "--dvc-only", cwd=folder).stdout.split()
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def begin(*line: str, cwd: Path, **changes: str) -> subprocess.Popen[str]:
    """Start a command of this Python (`-m dvc repro`) as the head of a group of its own; stdout and stderr are one."""
    return subprocess.Popen(
        [sys.executable, *line], cwd=cwd, env=environment(**changes), stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so; fail if it never is."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def wait_until_said(process: subprocess.Popen[str], text: str) -> None:
    """Read what a process prints until a line holds `text`."""
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"it ended and never said {text!r}")


def stage_of(folder: Path) -> int:
    """The process that runs a stage in `folder`, 0 if none does: of all processes, for its parent may be dead."""
    for each in Path("/proc").glob("[0-9]*"):
        try:
            line = (each / "cmdline").read_bytes().split(b"\0")
            at = (each / "cwd").readlink()
        except OSError:
            continue
        if at == folder and b"-m" in line and line[line.index(b"-m") + 1].startswith(b"stages."):
            return int(each.name)
    return 0


def ended(process: subprocess.Popen[str], seconds: float = 60) -> str:
    """Wait for the end of a process, and of whatever writes to its pipe, and return what was printed."""
    try:
        return process.communicate(timeout=seconds)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
