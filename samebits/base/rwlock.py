"""DVC's list of which process reads and writes which file: as dvc.lock, it is written in place and may be left cut."""

import json
import sys
from contextlib import closing

from zc.lockfile import LockError, LockFile  # what DVC itself locks with

from samebits.base import dvc

GUARD = dvc.RWLOCK.with_name("rwlock.lock")  # held by a DVC while it reads or writes the list


def mend() -> None:
    """Remove a list that a DVC that was killed left cut, and say so: no `dvc repro` would go on before."""
    if _whole():
        return
    try:
        guard = LockFile(str(GUARD))
    except LockError:
        return  # a DVC is just writing it
    with closing(guard):
        if _whole():
            return
        dvc.RWLOCK.unlink()
    print(
        f"note: {dvc.RWLOCK} was cut, as a DVC that is killed leaves it: removed, DVC begins it anew", file=sys.stderr
    )


def _whole() -> bool:
    """Whether DVC can read the list, or begin one: no beginning of an object in JSON is one itself."""
    try:
        return isinstance(json.loads(dvc.RWLOCK.read_bytes()), dict)
    except FileNotFoundError:
        return True
    except ValueError:
        return False
