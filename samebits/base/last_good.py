"""The outputs of a stage's last good run, which DVC removes before it starts the stage: put back unless it succeeds.

`stages/__init__.py` calls `keep` before the stage's own module is compiled, so that it counts for every end that a
process can see: a failure while it is imported, Ctrl-C, SIGTERM, SIGHUP, the death of the DVC that runs it. What it
cannot see (SIGKILL, a crash) the next `samebits repro` makes good. It imports little: a failure before is not seen.
"""

import atexit
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from samebits.base import dvc, interruption
from samebits.base.errors import UserError

LOCKS = Path(".dvc/tmp/stages")  # held by each stage that runs in this copy of the project

_replaced = threading.Event()
_held = ExitStack()  # until the process ends


def keep() -> None:
    """Put the outputs of this stage's last good run back at the end, unless `replaced_by` came to its own; under DVC.

    Ends the process if another one still runs this stage: then the outputs are that one's to write, or to put back.
    """
    stage = os.environ.get("DVC_STAGE")
    if not stage:
        return
    interruption.obey()
    sys.excepthook = functools.partial(_tell, stage)
    atexit.register(_put_back, stage)
    parent = os.getppid()
    try:
        from samebits.base.alone import alone  # here, for a package may be broken or missing

        _held.enter_context(alone(LOCKS / f"{stage.replace('/', ':')}.lock", f"stage {stage}"))
    except UserError as error:
        atexit.unregister(_put_back)
        sys.exit(f"error: {error}")
    # Again, to come before the lock is let go, which is what was registered last. The first one is there for a signal
    # that Python handles just when this one is called.
    atexit.register(_put_back, stage)
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def replaced_by(main: Callable[..., None]) -> Callable[..., None]:
    """Return `main`, whose return says that the outputs of this run are there, all of them."""

    @functools.wraps(main)  # keeps the signature that typer reads
    def run(*args: object, **options: object) -> None:
        main(*args, **options)
        _replaced.set()

    return run


def wait(project: Path, patience: float) -> None:
    """Wait until no stage runs in `project`: DVC may have been killed alone. Raises UserError after `patience` seconds.

    A stage notices that soon, and ends when its old outputs are back.
    """
    from samebits.base.alone import alone

    for lock in sorted((project / LOCKS).glob("*.lock")):
        with alone(lock, f"stage {lock.stem}", patience):
            pass


def _end_with(parent: int) -> None:
    """End this process as SIGTERM does once the DVC that runs it is no more: nobody waits for what it makes."""
    from samebits.base import runner  # here, for a package may be broken or missing

    runner.wait_for_its_end(parent)
    if threading.main_thread().is_alive():  # else it ends already
        os.kill(os.getpid(), signal.SIGTERM)


def _tell(stage: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell an error that nobody caught, as Python does, but for an interruption while the stage is imported."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"error: {stage}: {interruption.SAID}", file=sys.stderr)
        sys.exit(interruption.exit_code())
    sys.__excepthook__(kind, error, trace)


def _put_back(stage: str) -> None:
    if _replaced.is_set():
        return
    interruption.ignore()  # whoever is impatient now would lose the outputs
    line = dvc.line("checkout", "--quiet", "--force", stage)
    with suppress(OSError):
        subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    _replaced.set()
