"""Tracking servers that are slow, dying or dead: publishing to them costs a stage no more than its budget."""

import contextlib
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from samebits.tracking import best_effort
from tests.faults.figures import Figures
from tests.made import finished

BUDGET = 10.0  # seconds that all of tracking may cost a stage
MORE = 5.0  # of starting and ending processes, on a busy machine
WAYS = ("closed", "silent", "slow", "trickle", "reset", "nonsense", "error", "half")


def servers(count: int) -> Figures:
    """Publish to so many servers, each bad in a way of its own."""
    figures, taken = Figures(f"bad tracking servers: at most {BUDGET:.0f} s"), []
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        finished.project(Path(), "mnist")
        for i in range(count):
            way = WAYS[i % len(WAYS)]
            with server(way) as address:
                started = time.monotonic()
                with published_to(address):
                    best_effort.publish("mnist")
                seconds = time.monotonic() - started
            taken.append(seconds)
            figures.count(f"{way}: {seconds:.1f} s" if seconds > BUDGET + MORE else "")
            print(f"{i + 1} of {count}: {way}, {seconds:.1f} s", flush=True)
    figures.measured = f"{statistics.median(taken):.1f} s in the middle, {max(taken):.1f} s at most"
    return figures


@contextlib.contextmanager
def published_to(address: str) -> Iterator[None]:
    """Let MLflow be at an address."""
    import os

    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = address
    try:
        yield
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]
        if before:
            os.environ["MLFLOW_TRACKING_URI"] = before


@contextlib.contextmanager
def server(way: str) -> Iterator[str]:
    """A server that is bad in one way."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if way == "closed":
            listening.close()
        else:
            threading.Thread(target=serve, args=(listening, way), daemon=True).start()
        yield address


def serve(listening: socket.socket, way: str) -> None:
    """Answer each connection in a bad way."""
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(client, way), daemon=True).start()


def answer(client: socket.socket, way: str) -> None:
    """Answer one client badly."""
    with contextlib.suppress(OSError), client:
        while client.recv(65536):
            if way == "silent":
                time.sleep(60)
            elif way == "slow":
                time.sleep(random.uniform(0.3, 0.8))
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
            elif way == "trickle":
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(1000):
                    client.sendall(b" ")
                    time.sleep(0.5)
            elif way == "reset":
                return
            elif way == "nonsense":
                client.sendall(random.randbytes(200))
                return
            elif way == "error":
                client.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n")
            else:
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                return
