"""A worker process: frames of bytes come by stdin, first the arrays, then tasks; answers go by stdout.

It ends when whoever started it does, however that ends: then stdin does.
"""

import os
import queue
import signal
import sys
import threading
from typing import IO

from samebits.seeds.frames import receive, send


def main() -> None:
    """Work until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which then closes stdin
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anything prints is for people
    frames: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=listen, args=(sys.stdin.buffer, frames), daemon=True).start()

    from samebits.seeds.work import work  # after the thread is there, for torch takes seconds to import

    data = frames.get()
    while True:
        send(answers, work(data, frames.get()))


def listen(source: IO[bytes], frames: "queue.Queue[bytes]") -> None:
    """Take frames; end the process when there is nobody to send any."""
    while (frame := receive(source)) is not None:
        frames.put(frame)
    os._exit(1)


if __name__ == "__main__":
    main()
