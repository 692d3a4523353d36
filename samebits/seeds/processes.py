"""Workers on this machine: processes of their own, which are spoken to in frames of bytes over their pipes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import torch

from samebits.seeds.crew import LostError
from samebits.seeds.frames import receive, send

LINE = (sys.executable, "-m", "samebits.seeds.worker")


class Processes:
    """So many workers, each with its share of the threads; one that ends is replaced. `lines` are their commands."""

    long = 2.0

    def __init__(self, lines: Sequence[Sequence[str]]) -> None:
        self.lines = list(lines)
        self.mine = threading.local()  # each thread has a worker
        self.closed = False
        self.running: set[subprocess.Popen[bytes]] = set()

    def open(self, data: bytes) -> None:
        """Be ready for tasks on these arrays."""
        self.data, self.free = data, list(self.lines)
        self.pool = ThreadPoolExecutor(len(self.lines))

    def room(self) -> int:
        """Return how many tasks should be on their way: one for each."""
        return len(self.lines)

    def submit(self, task: bytes) -> "Future[bytes]":
        """Have a task done."""
        return self.pool.submit(self._ask, task)

    def notes(self) -> Iterator[str]:
        """Nothing: a process that is lost is known by the task that it had."""
        return iter(())

    def close(self) -> None:
        """End all workers, whatever they do."""
        self.closed = True
        for process in list(self.running):
            process.kill()
        self.pool.shutdown(cancel_futures=True)
        for process in self.running:
            process.wait()

    def environment(self) -> dict[str, str]:
        """Return a worker's environment: a share of the threads, and no stage, whose old outputs would be put back."""
        share = str(max(1, torch.get_num_threads() // len(self.lines)))
        kept = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
        return {**kept, "OMP_NUM_THREADS": share}

    def _ask(self, task: bytes) -> bytes:
        process = self._worker()
        assert process.stdin
        assert process.stdout
        try:
            send(process.stdin, task)
            answer = receive(process.stdout)
        except OSError:
            answer = None
        if answer is None:
            del self.mine.process
            self.running.discard(process)
            process.kill()
            code = process.wait()
            how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
            raise LostError(f"worker process {process.pid} {how}")
        return answer

    def _worker(self) -> subprocess.Popen[bytes]:
        if not hasattr(self.mine, "process"):
            self.mine.line = getattr(self.mine, "line", None) or self.free.pop()
            process = subprocess.Popen(
                self.mine.line, env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self.running.add(process)
            self.mine.process = process
            assert process.stdin
            with suppress(OSError):  # the task will find that out
                send(process.stdin, self.data)
            if self.closed:
                process.kill()
        return self.mine.process  # type: ignore[no-any-return]
