"""Ctrl-C while LLVM compiles: its callbacks lose what they raise, so an interrupt is held until a kernel is done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = threading.Event()


@contextmanager
def held() -> Iterator[None]:
    """Keep Ctrl-C until a kernel is compiled, when `kernels.Cache` asks, or else until the end."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN, signal.SIG_DFL):
        yield
        return
    INTERRUPTED.clear()
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if INTERRUPTED.is_set():
            INTERRUPTED.clear()
            signal.raise_signal(signal.SIGINT)


def _note(number: int, frame: FrameType | None) -> None:
    INTERRUPTED.set()
