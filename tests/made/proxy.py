"""A proxy on this machine that passes on what is asked and answered, as slowly as a test wants it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress


class Proxy:
    """In front of a server at 127.0.0.1: each answer is `delay` seconds late; from a request with `trickles` in it on,
    answers come by the byte, three a second."""

    def __init__(self, port: int) -> None:
        self.delay, self.trickles, self._port = 0.0, b"", port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                slow = threading.Event()
                threading.Thread(target=self._requests, args=(client, server, slow), daemon=True).start()
                threading.Thread(target=self._answers, args=(server, client, slow), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, slow: threading.Event) -> None:
        with suppress(OSError), closing(server):
            while data := client.recv(65536):
                if self.trickles and self.trickles in data:
                    slow.set()
                server.sendall(data)

    def _answers(self, server: socket.socket, client: socket.socket, slow: threading.Event) -> None:
        with suppress(OSError), closing(client):
            while data := server.recv(65536):
                if slow.is_set():
                    for byte in data:
                        time.sleep(1 / 3)
                        client.sendall(bytes([byte]))
                else:
                    time.sleep(self.delay)
                    client.sendall(data)


@contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """Give a proxy in front of what listens at `port` of this machine."""
    with closing(Proxy(port)) as made:
        yield made
