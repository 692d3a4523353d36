"""One process at a time: a lock that ends with the process that holds it, however that dies, and tells who it is."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from samebits.base.errors import UserError

BEFORE_A_WORD = 1.0  # seconds of waiting that are not worth a line


@contextmanager
def alone(path: Path, what: str, patience: float = 0) -> Iterator[None]:
    """Hold the lock at `path`, which stands for `what`; others wait for it, with a line, or are refused.

    Raises UserError, naming the process that holds it, if it is not to be had within `patience` seconds. Where files
    cannot be locked or written nothing is: what follows will say so, or needs none.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, path, what, patience)
    except Timeout:
        raise UserError(f"{what} is in use by {holder(path)}: wait until it ends, or end it") from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        with suppress(OSError):
            _note(path).write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def holder(path: Path) -> str:
    """Return who holds the lock at `path`, or held it last."""
    try:
        return _note(path).read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _acquire(lock: FileLock, path: Path, what: str, patience: float) -> None:
    try:
        lock.acquire(timeout=min(patience, BEFORE_A_WORD))
    except Timeout:
        if patience <= BEFORE_A_WORD:
            raise
        print(f"{what} is in use by {holder(path)}: waiting", file=sys.stderr, flush=True)
        lock.acquire(timeout=patience - BEFORE_A_WORD)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")
