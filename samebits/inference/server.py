"""One model over HTTP, to this machine only: a page to draw on, and POST /predict for programs.

Whatever arrives may be wrong or hostile. A request has LARGEST_BODY bytes and DEADLINE seconds, and a refusal is a
status 4xx, or 503, with {"error": why}; the server itself stays up. Clients that are slow hold nobody: of the
MOST_WAITING connections that wait for their clients the oldest gives its place to whoever comes. It answers only to
its own names and to its own page, so that no page from elsewhere can use it through the visitor's browser.
"""

import io
import json
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from samebits.base.errors import UserError
from samebits.inference import endpoint
from samebits.inference.classifier import Classifier

HOST = "127.0.0.1"  # never the network: the server asks nobody who they are
NAMES = (HOST, "localhost")
LARGEST_BODY = 8 * 2**20  # bytes: a photograph, or two thousand images of 28 x 28 as JSON
DEADLINE = 10.0  # seconds for a request to arrive, and as many for its answer to leave
LINGER = 1.0  # seconds in which a client may finish what it is sending, so that it reads why it was refused
MOST_WAITING = 100  # connections that wait for their clients, a thread and a file each
PATIENCE = 0.5  # seconds that each of these has at least, however many come: an honest request takes milliseconds
MOST_REQUESTS = 64  # that have come and wait for the model; more are told to come back
JSON, HTML = "application/json", "text/html; charset=utf-8"
PICTURES = ("image/png", "image/jpeg", "image/webp", "image/bmp")
PREDICT = {JSON: endpoint.images} | dict.fromkeys(PICTURES, endpoint.picture)
PAGE = {"/": ("page.html", HTML), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Connection": "close",
}


class HttpError(Exception):
    """A request that is answered with this status, this reason and these headers."""

    def __init__(self, status: HTTPStatus, why: str, **headers: str):
        super().__init__(why)
        self.status, self.headers = status, headers


class Server(ThreadingHTTPServer):
    """Serves `classifier` at `port`, 0 for any free one. Raises OSError when the port cannot be had."""

    daemon_threads = True  # Ctrl-C waits for nobody
    request_queue_size = 1024

    def __init__(self, classifier: Classifier, port: int):
        self.classifier = classifier
        self.worker = ThreadPoolExecutor(1)  # all memory and all of torch's threads go to one request at a time
        self.requests = threading.BoundedSemaphore(MOST_REQUESTS)
        self.waiting: dict[socket.socket, float] = {}  # for their clients, and since when; the oldest first
        self.left = threading.Condition()
        super().__init__((HOST, port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; where MOST_WAITING wait, first let one finish, or hang up on it."""
        with self.left:
            while len(self.waiting) >= MOST_WAITING:
                oldest, since = next(iter(self.waiting.items()))
                in_time = self.left.wait(max(0, since + PATIENCE - time.monotonic()))
                if not in_time and oldest in self.waiting:
                    del self.waiting[oldest]
                    with suppress(OSError):
                        oldest.shutdown(socket.SHUT_RDWR)  # its thread reads an end and ends
            self.waiting[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the place back at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    @contextmanager
    def computing(self, connection: socket.socket) -> Iterator[None]:
        """While the model is asked, nobody waits for the client. Raises HttpError where too many ask."""
        if not self.requests.acquire(blocking=False):
            why = f"{MOST_REQUESTS} requests wait for the model already: ask again later"
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, why, **{"Retry-After": "1"})
        self._leave(connection)
        try:
            yield
        finally:
            self.requests.release()
            with self.left:
                self.waiting[connection] = time.monotonic()

    def _leave(self, connection: socket.socket) -> None:
        with self.left:
            self.waiting.pop(connection, None)
            self.left.notify()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth a word."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection, one request."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = sys_version = "samebits"

    def setup(self) -> None:
        """Read by one deadline for the whole request: a byte now and then does not hold the place for ever."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Timed(self.connection, time.monotonic() + DEADLINE))

    def finish(self) -> None:
        """Say that this was all, and let the client finish: closed at once, it might not see the answer."""
        super().finish()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            rest = _Timed(self.connection, time.monotonic() + LINGER)
            while rest.read(2**16):
                pass

    def answer(self) -> None:
        """Answer the request, whatever its method."""
        self.close_connection = True
        try:
            self._send(HTTPStatus.OK, *self._response())
        except HttpError as refusal:
            self._refuse(refusal.status, str(refusal), **refusal.headers)
        except UserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except TimeoutError:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {DEADLINE:g} seconds")
        except ConnectionError:
            raise
        except Exception:  # a mistake of ours: say where on the terminal, and go on serving
            traceback.print_exc()
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its terminal says how")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

    def _response(self) -> tuple[str, bytes]:
        """The type and the body of the answer."""
        self._require_own_name()
        path = self.path.partition("?")[0]
        if path not in (*PAGE, "/health", "/model", "/predict"):
            raise HttpError(HTTPStatus.NOT_FOUND, "there are /, /health, /model and /predict")
        allowed = ["POST"] if path == "/predict" else ["GET", "HEAD"]
        if self.command not in allowed:
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {allowed[0]}", Allow=", ".join(allowed))
        if path in PAGE:
            name, kind = PAGE[path]
            return kind, (resources.files("samebits.inference") / "site" / name).read_bytes()
        if path == "/health":
            return JSON, _json({"status": "ok"})
        if path == "/model":
            return JSON, _json(endpoint.model(self.server.classifier))
        return JSON, self._predictions()

    def _predictions(self) -> bytes:
        self._require_own_page()
        predict = PREDICT.get(self.headers.get_content_type())
        if not predict:
            raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be one of {', '.join(PREDICT)}")
        body = self._body()
        with self.server.computing(self.connection):
            return self.server.worker.submit(lambda: _json(predict(body, self.server.classifier))).result()

    def _require_own_name(self) -> None:
        """A page elsewhere can give its own name this machine's address, and would then count as ours."""
        match self.headers.get_all("Host", []):
            case [host]:
                if host.lower().partition(":")[0] not in NAMES:
                    raise HttpError(HTTPStatus.FORBIDDEN, f"only requests to {' or '.join(NAMES)} are answered")
            case _:
                raise HttpError(HTTPStatus.BAD_REQUEST, "one Host header is wanted")

    def _require_own_page(self) -> None:
        """A browser says which page sends; programs say nothing."""
        if self.headers.get("Origin", own := f"http://{self.headers['Host']}").lower() != own.lower():
            raise HttpError(HTTPStatus.FORBIDDEN, "pages from elsewhere are not answered")

    def _body(self) -> bytes:
        """Read the body; its length is known, and within the limit, before the first byte is."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not lengths:
            raise HttpError(HTTPStatus.LENGTH_REQUIRED, "say Content-Length; a body in chunks is not read")
        if len(set(lengths)) > 1 or not (lengths[0].isascii() and lengths[0].isdecimal()) or len(lengths[0]) > 18:
            raise HttpError(HTTPStatus.BAD_REQUEST, "Content-Length is not one number of bytes")
        length = int(lengths[0])
        if length > LARGEST_BODY:
            why = f"{length:,} bytes are too many: the limit is {LARGEST_BODY:,}"
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        body = self.rfile.read(length)
        if len(body) < length:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"only {len(body):,} of {length:,} bytes came")
        return body

    def handle_expect_100(self) -> bool:
        """Leave it to `_body`, which first looks at the length."""
        return True

    def _refuse(self, status: HTTPStatus, why: str, **headers: str) -> None:
        self._send(status, JSON, _json({"error": why}), **headers)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, **headers: str) -> None:
        self.request_version = self.protocol_version  # a status line even for what was no HTTP
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS, **headers}.items():
            self.send_header(name, value)
        self.connection.settimeout(DEADLINE)  # for all of what is sent at once
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say in our form what http.server itself refuses: a bad request line, too many headers."""
        self.close_connection = True
        self._refuse(HTTPStatus(code), message or HTTPStatus(code).phrase)

    def version_string(self) -> str:
        """Name no versions."""
        return "samebits"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Tell of refusals only: a drawing asks many times a second."""
        if isinstance(code, HTTPStatus) and code >= HTTPStatus.BAD_REQUEST:
            super().log_request(code, size)

    def log_error(self, format: str, *args: Any) -> None:
        """Be silent about connections that browsers open in advance and never use."""


class _Timed(io.RawIOBase):
    """What a socket receives until a moment; afterwards TimeoutError."""

    def __init__(self, connection: socket.socket, until: float):
        self.connection, self.until = connection, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode() + b"\n"
