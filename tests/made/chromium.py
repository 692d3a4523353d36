"""A headless Chromium, driven through its own DevTools protocol over two pipes: no driver, no port, no library."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60  # seconds until a test gives up


class Page:
    """One page; `messages` holds what it said on its console, errors and refused requests among it."""

    def __init__(self, process: subprocess.Popen[bytes], to: Any, fro: Any):
        self.process, self.to, self.fro = process, to, fro
        self.session: str | None = None
        self.count = 0
        self.messages: list[dict[str, Any]] = []
        self.requested: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Send one command and return its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while True:
            answer = self._receive()
            if answer.get("id") == self.count:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        answer = bytearray()
        while (byte := self.fro.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            answer += byte
        event: dict[str, Any] = json.loads(answer)
        if event.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.messages.append(event["params"])
        if event.get("method") == "Network.requestWillBeSent":
            self.requested.append(event["params"]["request"]["url"])
        return event

    def js(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str, patience: float = PATIENCE) -> Any:
        """Return the value of an expression as soon as it is true."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if value := self.js(expression):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never came: {expression}; the page said {self.messages}")

    def mouse(self, *points: tuple[float, float]) -> None:
        """Press at the first point, move over the others, release."""
        for kind, (x, y) in [
            ("mousePressed", points[0]),
            *(("mouseMoved", point) for point in points),
            ("mouseReleased", points[-1]),
        ]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def key(self, key: str, shift: bool = False) -> None:
        """Press and release a key by its name."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 if shift else 0)

    def write(self, text: str) -> None:
        """Type `text` into what has the focus, then press Enter."""
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r")

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the window's size in pixels and the colours that the visitor prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path) -> None:
        """Save what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def browser() -> Iterator[Page]:
    """Start Chromium and give an empty page."""
    assert PROGRAM
    down, up = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (down[0], up[1])]  # out of the way of 3 and 4, its own
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--blink-settings=primaryHoverType=2,availableHoverTypes=2"]  # a mouse, which headless has not
        line = [PROGRAM, *options, f"--user-data-dir={home}", "--remote-debugging-pipe", "about:blank"]
        become = f"import os, sys; os.dup2({ends[0]}, 3); os.dup2({ends[1]}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        starter, quiet = [sys.executable, "-S", "-c", become, *line], subprocess.DEVNULL
        process = subprocess.Popen(starter, pass_fds=ends, stdout=quiet, stderr=quiet)
        for end in (down[0], up[1], *ends):
            os.close(end)
        with os.fdopen(down[1], "wb") as to, os.fdopen(up[0], "rb") as fro:
            try:
                yield Page(process, to, fro)
            finally:
                process.terminate()
                process.wait(PATIENCE)
