"""Workers on a Dask cluster, wherever they are. Processes talk by Dask's own messages there, and nowhere else; ours
within them are bytes of safetensors and JSON.
"""

import logging
import socket
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from samebits.base.errors import UserError
from samebits.base.patience import within
from samebits.seeds.crew import LostError
from samebits.seeds.work import work

PATIENCE = 10  # seconds that the scheduler may take to answer, and then its first worker to come


class Cluster:
    """The workers of the Dask scheduler at an address."""

    long = 2.0

    def __init__(self, address: str) -> None:
        self.address = address
        self.client: Any = None
        self.workers: set[str] = set()

    def open(self, data: bytes) -> None:
        """Bring the arrays to the cluster. Raises UserError if it does not answer, or has no workers."""
        try:
            self.client = within(PATIENCE, lambda: _client(self.address))
        except Exception as error:  # of whatever a cluster is spoken to through
            raise UserError(f"WORKERS={self.address}: {_why(error)}") from None
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            self.close()
            start = f"`dask worker {self.address} --nthreads 1` in a clone of this project starts one"
            raise UserError(f"WORKERS={self.address}: the Dask scheduler has no workers: {start}") from None
        self.data = data
        self.place = self.client.scatter(data, hash=False)
        self.workers = set(self._threads())
        self.long = max(self.long, self.room() / 4)  # all that moves goes through one process

    def room(self) -> int:
        """Return how many tasks should be on their way: one to do and one to come for each worker's thread."""
        with self._there():
            return max(1, 2 * sum(self._threads().values()))

    def submit(self, task: bytes) -> "Future[bytes]":
        """Have a task done, by whoever is free. Raises UserError if the scheduler is gone."""
        answer: Future[bytes] = Future()
        with self._there(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that tasks should be small: ours hold what seeds carry
            if self.place.status != "finished":  # whoever had the arrays is gone
                self.place = self.client.scatter(self.data, hash=False)
            asked = self.client.submit(work, self.place, task, pure=False)
            asked.add_done_callback(lambda done: _answered(done, answer))
        answer.asked = asked  # type: ignore[attr-defined]  # Dask forgets what nobody holds
        return answer

    def notes(self) -> Iterator[str]:
        """Say who came and who went. Raises UserError if the scheduler is gone."""
        with self._there():
            now = set(self._threads())
        yield from (f"worker {name} is gone: what it had goes on elsewhere" for name in sorted(self.workers - now))
        yield from (f"worker {name} has come" for name in sorted(now - self.workers))
        self.workers = now

    @contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # of whatever a cluster is spoken to through
            gone = f"WORKERS={self.address}: the Dask scheduler is gone"
            raise UserError(f"{gone}; the seed store has what was reached, run this again") from None

    def close(self) -> None:
        """Leave the cluster."""
        with suppress(Exception):  # it may be gone
            self.client.close(timeout=PATIENCE)

    def _threads(self) -> dict[str, int]:
        return dict(self.client.nthreads())


def _why(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"this needs dask.distributed: pip install distributed ({error})"
    if isinstance(error, TimeoutError) or "timed out" in str(error).lower():
        return f"no Dask scheduler answers within {PATIENCE} s"
    if isinstance(error, OSError) and error.strerror:
        return f"no Dask scheduler can be reached there ({error.strerror[:1].lower()}{error.strerror[1:]})"
    text = " ".join(str(error).split())[:150]
    return f"what answers there cannot be spoken to as a Dask scheduler ({type(error).__name__}: {text})"


def _client(address: str) -> Any:
    """A client of the scheduler at an address. Raises OSError if nobody is there."""
    from distributed import Client

    for name in ("", ".client", ".core", ".utils", ".comm"):  # what matters is told in sentences
        logging.getLogger(f"distributed{name}").setLevel(logging.CRITICAL + 1)
    host, _, port = address.partition("://")[2].rstrip("/").rpartition(":")

    class Ours(Client):
        def __del__(self) -> None:
            """It is closed by us, or never was open: Dask would wait for that."""

    socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()  # Dask itself would try for long
    return Ours(address, timeout=PATIENCE, set_as_default=False, name="samebits")  # type: ignore[no-untyped-call]


def _answered(done: Any, answer: "Future[bytes]") -> None:
    try:
        answer.set_result(done.result())
    except Exception as error:  # whatever befalls a cluster
        answer.set_exception(LostError(f"a task was lost ({type(error).__name__}: {str(error)[:200]})"))
