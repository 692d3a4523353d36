"""Waiting for an answer, and giving up: no call that hangs keeps the process, whatever it is stuck in.

A call that may hang (looking up a name, a database's driver in C) cannot be ended, but it can be left behind: it runs
in a thread of its own, the main thread waits where Ctrl-C reaches it, and the process ends without the thread.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

LOOK = 0.2  # seconds from one look at a limit that may have moved to the next

T = TypeVar("T")

_left_behind: list[threading.Thread] = []


def within(seconds: float | Callable[[], float], function: Callable[[], T]) -> T:
    """Return function() or raise its error; raise TimeoutError if it takes longer than `seconds`.

    `seconds` may be a function, for a limit that grows with what has been done.
    """
    answers: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def call() -> None:
        try:
            answers.put((True, function()))
        except BaseException as error:
            answers.put((False, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        worked, answer = _first(answers, seconds)
    except BaseException:
        _left_behind.append(thread)
        raise
    if worked:
        return answer  # type: ignore[no-any-return]
    raise answer


def _first(answers: "queue.Queue[tuple[bool, Any]]", seconds: float | Callable[[], float]) -> tuple[bool, Any]:
    """Return the first answer. Raises TimeoutError where it does not come in time."""
    began = time.monotonic()
    while True:
        left = began + (seconds() if callable(seconds) else seconds) - time.monotonic()
        try:
            return answers.get(timeout=max(0.0, min(left, LOOK) if callable(seconds) else left))
        except queue.Empty:
            if not callable(seconds) or left <= 0:
                raise TimeoutError from None


def leave(code: object) -> None:
    """End the process here and now, with `code`, if a call was left behind; else return.

    At an ordinary end Python would wait for the threads that such a call has started, as MLflow's downloads do.
    """
    if any(thread.is_alive() for thread in _left_behind):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
