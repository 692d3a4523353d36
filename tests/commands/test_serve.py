import base64
import csv
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection

import pytest
from PIL import Image
from safetensors.numpy import load_file

from samebits.base.errors import UserError
from samebits.commands import serve
from samebits.inference import server as http
from samebits.inference.classifier import Classifier
from tests.conftest import ROOT, environment, fullmatch
from tests.made import chromium
from tests.made.trained import digits

NOTHING = "\N{EN DASH}"  # what the page says of an empty drawing


@contextmanager
def serving():
    """A server of its own process, as a user starts it; at the end it must still be up, and stop at once on Ctrl-C."""
    line = [sys.executable, "-m", "samebits", "serve", "digits", "--port", "0"]
    environ = environment(PYTHONPATH=str(ROOT))
    with subprocess.Popen(line, cwd=digits(), env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline().decode()
            yield int(fullmatch(r"digits mlp: http://127\.0\.0\.1:(\d+)/ \(Ctrl-C stops it\)\n", first)[1])
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=10)
            assert (process.returncode, rest) == (0, b"\nstopped\n")
            assert b"Traceback" not in errors, errors.decode()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port():
    with serving() as port:
        yield port


@pytest.fixture
def hasty(monkeypatch):
    """The port of a server in this process, whose patience is short."""
    monkeypatch.setattr(http, "DEADLINE", 0.3)
    monkeypatch.setattr(http, "LINGER", 0.1)
    classifier = Classifier.load(digits() / "models/digits/mlp/model.safetensors")
    with http.Server(classifier, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def images():
    return load_file(digits() / "data/processed/digits/test.safetensors")["images"]


def recorded():
    with (digits() / "predictions/digits/mlp.csv").open(newline="") as file:
        return [(row["predicted"], float(row["probability"])) for row in csv.DictReader(file)]


def ask(port, method, path, body=None, **headers):
    """Status and JSON (or text) of a reply."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    reply = connection.getresponse()
    text = reply.read()
    assert reply.headers["Connection"] == "close"
    return reply.status, json.loads(text) if reply.headers["Content-Type"] == "application/json" else text.decode()


def post(port, value, **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ask(port, "POST", "/predict", body, **{"Content_Type": "application/json", **headers})


def raw(port, *parts):
    """Whatever bytes come back to whatever bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(2**16), b""))


def drip(port):
    """A byte now and then, for as long as the server takes them."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        while True:
            connection.sendall(b"G")
            time.sleep(0.05)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def scanned(times):
    """A JPEG of 200 KB whose 50 million pixels are gone over so many times."""
    file = io.BytesIO()
    Image.new("L", (9000, 5500), 9).save(file, "JPEG", progressive=True)
    flat = file.getvalue()[:-2]
    return flat + flat[flat.rindex(b"\xff\xda") :] * (times - flat.count(b"\xff\xda")) + b"\xff\xd9"


def said(reply):
    status, answer = reply
    assert status == 200, answer
    return [(each["class"], each["probability"]) for each in answer["predictions"]]


def test_the_bits_of_predictions_csv_come_out(port):
    assert said(post(port, {"images": images().tolist()})) == recorded()
    assert said(post(port, {"images": images()[4:5].tolist()})) == recorded()[4:5]
    status, answer = post(port, png(images()[5]), Content_Type="image/png")
    assert said((status, answer)) == recorded()[5:6]
    assert answer["predictions"][0]["pixels"] == images()[5].tolist()


def test_with_curl(port, tmp_path):
    (tmp_path / "digit.png").write_bytes(png(images()[0]))
    (tmp_path / "large.json").write_bytes(b'{"images": [' + b"0, " * 3_000_000 + b"0]}")
    url, kind = f"http://127.0.0.1:{port}/predict", "Content-Type: application/json"

    def curl(*arguments):
        line = ["curl", "--silent", "--write-out", "%{http_code}", *arguments]
        done = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        return int(done[-3:]), json.loads(done[:-3])

    picture = f"@{tmp_path}/digit.png"
    assert said(curl("--data-binary", picture, "-H", "Content-Type: image/png", url)) == recorded()[:1]
    # a body of this size makes curl ask first (Expect: 100-continue): the limit is told before it is sent
    status, answer = curl("--data-binary", f"@{tmp_path}/large.json", "-H", kind, url)
    assert (status, answer["error"]) == (413, "9,000,015 bytes are too many: the limit is 8,388,608")
    assert curl("-X", "DELETE", url)[0] == 405


def test_what_it_says_of_itself(port):
    assert ask(port, "GET", "/health") == (200, {"status": "ok"})
    status, about = ask(port, "GET", "/model?x=1")
    assert status == 200
    assert (about["dataset"], about["run"], about["seed"], about["image"]) == ("digits", "mlp", 7, [8, 8])
    assert "<h1" in ask(port, "GET", "/")[1]
    assert raw(port, b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "method", "path", "body", "headers"),
    [
        (404, "GET", "/../../params.yaml", None, {}),
        (404, "GET", "/page.html", None, {}),
        (404, "GET", "http://127.0.0.1/", None, {}),
        (405, "GET", "/predict", None, {}),
        (405, "POST", "/", b"", {}),
        (405, "OPTIONS", "/predict", None, {}),
        (415, "POST", "/predict", b"{}", {}),
        (415, "POST", "/predict", b"{}", {"Content_Type": "text/plain"}),
        (415, "POST", "/predict", b"GIF89a", {"Content_Type": "image/gif"}),
        (400, "POST", "/predict", b"{}", {"Content_Type": "application/json"}),
        (400, "POST", "/predict", b"", {"Content_Type": "image/png"}),
        (400, "POST", "/predict", b"\x93NUMPY", {"Content_Type": "image/png"}),
        (403, "GET", "/", None, {"Host": "evil.example"}),
        (403, "GET", "/", None, {"Host": "127.0.0.1.evil.example:8000"}),
        (403, "POST", "/predict", b"{}", {"Content_Type": "application/json", "Origin": "http://evil.example"}),
        (403, "POST", "/predict", b"{}", {"Content_Type": "application/json", "Origin": "null"}),
        (403, "POST", "/predict", b"{}", {"Content_Type": "application/json", "Origin": "http://127.0.0.1:1"}),
        (413, "POST", "/predict", None, {"Content_Type": "image/png", "Content_Length": "8388609"}),
        (400, "POST", "/predict", None, {"Content_Type": "image/png", "Content_Length": "-1"}),
        (400, "POST", "/predict", None, {"Content_Type": "image/png", "Content_Length": "1e3"}),
        (411, "POST", "/predict", iter([b"{}"]), {"Content_Type": "application/json"}),
    ],
)
def test_what_is_refused(port, status, method, path, body, headers):
    answered, reason = ask(port, method, path, body, **headers)
    assert answered == status, reason
    assert isinstance(reason["error"], str)


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"),
        (400, b"\x00\x01\x02 nonsense\r\n\r\n"),
        (400, b"GET / HTTP/banana\r\n\r\n"),
        (414, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        (501, b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (411, b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n\r\n"),
    ],
)
def test_requests_that_are_none(port, status, request_):
    reply = raw(port, request_)
    assert reply.startswith(b"HTTP/1.1 %d " % status), reply
    assert "error" in json.loads(reply.partition(b"\r\n\r\n")[2])


def test_a_page_elsewhere_may_not_embed_it_and_itself_loads_nothing_from_elsewhere(port):
    reply = raw(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").decode()
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';" in reply
    assert "frame-ancestors 'none'" in reply
    assert "Access-Control" not in reply
    assert not re.search(r"https?://", reply.partition("\r\n\r\n")[2])


def test_many_at_once(port):
    X, rows = images().tolist(), recorded()
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda i: said(post(port, {"images": X[i : i + 3]})), range(120)))
    assert answers == [rows[i : i + 3] for i in range(120)]


def test_slow_clients_lose_their_place(hasty):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n"
    assert raw(hasty, head, b"abc").startswith(b"HTTP/1.1 408 ")  # the body stops
    assert raw(hasty, b"GET / HT") == b""  # the head does
    with pytest.raises(OSError, match=r"reset|pipe|aborted"):
        drip(hasty)


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [(b"", b""), (HEAD, b"X"), (HEAD + b"Content-Length: 9999\r\n\r\n", b"x")],
    ids=["silent", "slow heads", "slow bodies"],
)
def test_slow_clients_hold_nobody(port, begun, more):
    """Each has DEADLINE seconds, 32 at a time would hold 400 for two minutes."""
    slow = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(400)]
    ended = threading.Event()

    def trickle():
        while not ended.wait(0.1):
            for connection in slow:
                with suppress(OSError):
                    connection.send(more)

    with ExitStack() as stack:
        for connection in slow:
            stack.enter_context(connection)
            with suppress(OSError):  # it may have been hung up on
                connection.send(begun)
        trickling = threading.Thread(target=trickle)
        trickling.start()
        stack.callback(trickling.join)
        stack.callback(ended.set)
        start = time.monotonic()
        assert said(post(port, {"images": images()[:1].tolist()})) == recorded()[:1]
        assert ask(port, "GET", "/health")[0] == 200
        assert time.monotonic() - start < http.DEADLINE  # 400 connections in turns of 100 x PATIENCE


def test_whoever_waits_for_the_model_holds_nobody_else(hasty, monkeypatch):
    opened = threading.Event()
    monkeypatch.setitem(http.PREDICT, "image/png", lambda body, classifier: {"opened": opened.wait(60)})
    with ThreadPoolExecutor(http.MOST_REQUESTS + 1) as pool:
        asked = [pool.submit(post, hasty, b"x", Content_Type="image/png") for _ in range(http.MOST_REQUESTS + 1)]
        status, answer = next(as_completed(asked)).result()
        assert (status, answer) == (503, {"error": "64 requests wait for the model already: ask again later"})
        assert ask(hasty, "GET", "/health")[0] == 200
        opened.set()
    assert sorted(future.result()[0] for future in asked) == [200] * http.MOST_REQUESTS + [503]


def test_a_busy_server_answers_others_and_ends_at_once():
    """Ctrl-C does not wait until half a minute of pictures is decoded: `serving` waits ten seconds for the end."""
    flat = scanned(10)
    request = HEAD.replace(b"png", b"jpeg") + b"Content-Length: %d\r\n\r\n" % len(flat) + flat
    with ExitStack() as stack, serving() as port:
        for _ in range(http.MOST_REQUESTS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            connection.sendall(request)
        assert ask(port, "GET", "/health")[0] == 200


def test_a_picture_that_is_drawn_a_hundred_times_is_refused(port):
    status, answer = post(port, scanned(100), Content_Type="image/jpeg")
    why = "the picture is 9,000 x 5,500 pixels in 100 scans, too much work: at most 500,000,000 pixels x scans are read"
    assert (status, answer) == (400, {"error": why})


def test_a_mistake_of_ours_is_a_500_and_no_end(hasty, monkeypatch, capfd):
    monkeypatch.setitem(http.PREDICT, "image/png", lambda body, classifier: 1 / 0)
    status, answer = post(hasty, b"x", Content_Type="image/png")
    assert (status, answer) == (500, {"error": "the server failed; its terminal says how"})
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert ask(hasty, "GET", "/health")[0] == 200


def test_a_port_that_is_taken(port, monkeypatch):
    monkeypatch.chdir(digits())
    with pytest.raises(UserError, match=rf"^port {port} is in use: --port N takes another, --port 0 any free one$"):
        serve.main("digits", port=port)


@pytest.mark.skipif(not chromium.PROGRAM, reason="needs Chromium")
def test_the_page_in_a_browser(port):
    with chromium.browser() as page:
        page.look(1440, 900)
        page.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        page.wait("document.querySelectorAll('#classes tr').length == 10")
        drawing = "document.getElementById('drawing').getBoundingClientRect()"
        x, y, side = (page.js(f"{drawing}.{key}") for key in ("x", "y", "width"))
        answer, bars = "document.getElementById('answer').textContent", "document.getElementById('classes').innerText"

        # a stroke with the mouse: the bars move to what the server says of these very pixels
        page.mouse(*[(x + side / 2, y + side * step / 10) for step in range(2, 9)])
        page.wait(f"{answer} != '{NOTHING}'")
        page.wait("!asking")
        shown = page.js("[...document.querySelectorAll('#classes tr')].map(row => row.innerText.split(/\\s+/))")
        picture = base64.b64decode(page.js("drawing.toDataURL()").partition(",")[2])
        _, reply = post(port, picture, Content_Type="image/png")
        [prediction] = reply["predictions"]
        assert page.js(answer) == prediction["class"]
        assert {name: f"{float(percent):.1f}" for name, percent, _ in shown} == {
            name: f"{100 * p:.1f}" for name, p in prediction["probabilities"].items()
        }
        before = page.js(bars)

        # clear, then the same by keys alone
        page.js("document.getElementById('clear').click()")
        assert page.js(answer) == NOTHING
        assert page.js(bars) != before
        page.js("drawing.focus()")
        for _ in range(8):
            page.key("ArrowUp")
        for _ in range(16):
            page.key("ArrowDown", shift=True)
        page.wait(f"{answer} != '{NOTHING}'")
        page.wait("!asking")
        page.key("Delete")
        assert page.js(answer) == NOTHING

        # narrow and dark: nothing sticks out sideways, and the colours follow
        colours = []
        for scheme in ("light", "dark"):
            page.look(390, 844, scheme)
            assert page.js("document.documentElement.scrollWidth <= innerWidth")
            colours.append(page.js("getComputedStyle(document.body).backgroundColor"))
        assert colours[0] != colours[1]
        assert page.messages == []  # no error, no refused request, no breach of the page's own policy
        assert all(url.startswith(f"http://127.0.0.1:{port}/") for url in page.requested)
