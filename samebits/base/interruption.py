"""Being told to end: SIGTERM and SIGHUP do what Ctrl-C does, and the exit code says which of them it was."""

import os
import signal
import sys
import threading
from types import FrameType

SAID = "interrupted; nothing half-written is left behind"
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

AGAIN = 0.05  # seconds until a signal that was lost is sent again

_last: int = signal.SIGINT


def obey() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does; unless they are ignored, as under nohup.

    None of the three is lost where Python drops an exception with a line: in a destructor, or while it imports.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)
    sys.unraisablehook = _dropped


def ignore() -> None:
    """Be deaf to all of them from now on, and let the processes that are started be so."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt for a signal, or do what else Ctrl-C does now: who holds that, as while LLVM compiles,
    holds this.
    """
    global _last
    _last = number
    ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(ctrl_c) and ctrl_c is not interrupt:
        ctrl_c(number, frame)
    else:
        raise KeyboardInterrupt


def _dropped(what: "sys.UnraisableHookArgs") -> None:
    """Tell an exception that Python drops, as it does itself; but send the signal again of which one came."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        again = threading.Timer(AGAIN, os.kill, [os.getpid(), _last])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(what)


def exit_code() -> int:
    """Return what an interrupted process ends with, as shells have it: 130 after Ctrl-C, 143 SIGTERM, 129 SIGHUP."""
    return 128 + _last
