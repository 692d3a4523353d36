"""Processes that serve on this machine: a port for one, and those of a Dask cluster."""

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.conftest import environment
from tests.made.dying import wait_for


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(address: str) -> None:
    """Wait until something listens at tcp://HOST:PORT; fail if nothing ever does."""
    host, _, port = address.removeprefix("tcp://").partition(":")

    def listens() -> bool:
        with suppress(OSError), socket.create_connection((host, int(port))):
            return True
        return False

    wait_for(listens)


def dask(kind: str, *options: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """A `scheduler` or a `worker` of Dask's, whose talk nobody hears."""
    line = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options, "--no-dashboard"]
    return subprocess.Popen(line, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def dask_scheduler(address: str) -> subprocess.Popen[bytes]:
    """A scheduler at tcp://127.0.0.1:PORT."""
    return dask("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2])


def dask_worker(address: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """A worker of one thread, of the scheduler at `address`."""
    return dask("worker", address, "--nthreads", "1", "--no-nanny", cwd=cwd)
