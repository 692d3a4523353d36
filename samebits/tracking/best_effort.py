"""Publish to MLflow what is finished, as far as MLflow answers. It imports little, so that a stage loses no time."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from samebits.base.errors import UserError
from samebits.tracking.waiting import BUDGET

LONGEST = 60.0  # seconds of a publisher that works all the time
LOOK = 0.1  # seconds from one look at it to the next


def publish(*datasets: str, hurry: bool = True) -> None:
    """Publish in a process of its own: whatever goes wrong there is one line of warning here.

    In a hurry, as a stage is, it costs no more than BUDGET seconds, whatever it is that hangs. Only a publisher that
    works, as it does on a new database or on a busy machine, may take longer; see `_too_long`.
    """
    # Without DVC_STAGE, for this is not the stage: its failure must not put the stage's old outputs back.
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    line = [sys.executable, "-m", "samebits", "publish", *datasets]
    try:
        with tempfile.TemporaryFile() as said:  # not a pipe, which whoever outlives the publisher would keep open
            process = subprocess.Popen(line, env=environment, stdin=subprocess.DEVNULL, stderr=said)
            problem = _outcome(process, hurry)
            said.seek(0)
            problem = problem or _last_line(said.read().decode(errors="replace"), process.returncode)
    except (OSError, UserError) as error:
        problem = str(error)
    if problem:
        reason = problem.removeprefix("error: ")
        print(f"warning: not published to MLflow: {reason}; `samebits publish` does it later", flush=True)


def _last_line(said: str, code: int) -> str:
    """What a publisher said last, if it failed."""
    return (said.splitlines() or [f"exit code {code}"])[-1] if code else ""


def _outcome(process: "subprocess.Popen[bytes]", hurry: bool) -> str:
    """Wait for a publisher. Where it takes too long end it, and say so; it is ended, too, where we are."""
    began = looked = time.monotonic()
    waited = 0.0
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK)
                return ""
            now = time.monotonic()
            waited += 0.0 if _at_work(process.pid) else now - looked
            looked = now
            if hurry and (problem := _too_long(now - began, waited)):
                return problem
    finally:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # where the system itself cannot end it: a disk that hangs
            process.wait(1)


def _too_long(took: float, waited: float) -> str:
    """Say why a publisher that `took` so many seconds, and `waited` for so many of them, is to be ended."""
    if took > BUDGET and waited > took / 2:
        from samebits.tracking.address import address, shown  # which takes its time, and is hardly ever needed

        return f"{BUDGET:.0f} s have passed, most of them in waiting for {shown(address())}"
    return f"it took more than {LONGEST:.0f} s" if took > LONGEST else ""


def _at_work(pid: int) -> bool:
    """Tell whether some thread of a process is running, or would if a core were free. False where nobody can tell."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # the thread has ended
            if stat.read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False
