"""The DVC that runs this process: when does it end?"""

import json
import os
import time

import psutil

from samebits.base import dvc

LOOK = 0.5  # seconds between two looks


def wait_for_its_end(parent: int) -> None:
    """Wait until `parent`, which started this process, is no more, or the DVC above it: some shells stay between."""
    ours: psutil.Process | None = None
    while os.getppid() == parent and (_lives(ours) if ours else not _is_gone()):
        ours = ours or _find()
        time.sleep(LOOK)


def _find() -> psutil.Process | None:
    writers = _writers()
    return next((each for each in psutil.Process().parents() if each.pid in writers), None)


def _is_gone() -> bool:
    """Whether no DVC lives that writes anything here: ours may have died before it was found."""
    writers = _writers()
    return bool(writers) and not any(map(_lives, writers))


def _writers() -> set[int]:
    """Return the processes that write anything here by DVC's list, which holds each DVC that runs a stage."""
    try:
        writes = json.loads(dvc.RWLOCK.read_bytes())["write"]
        return {int(each["pid"]) for each in writes.values()}
    except (OSError, LookupError, TypeError, ValueError, AttributeError):
        return set()  # DVC is writing it, or has it in another form


def _lives(which: int | psutil.Process) -> bool:
    """Whether a process runs. One that ended and was not waited for does not."""
    try:
        process = psutil.Process(which) if isinstance(which, int) else which
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
