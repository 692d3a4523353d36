"""Take the pictures of docs/images again: `python -m docs.screenshots`, after `make repro`. Needs Chromium.

It publishes the finished results to a store of its own, in a temporary folder, and so shows them and nothing else.
"""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.made.chromium import Page, browser

IMAGES = Path(__file__).with_name("images")
SIZE = (1400, 800)
DATASET = "fashion_mnist"
SEVEN = [(0.25, 0.2), (0.5, 0.19), (0.75, 0.2), (0.62, 0.5), (0.45, 0.85)]  # a digit, in shares of the paper
ASSISTANT = "[data-component-id='mlflow.assistant.chat_panel.close']"
SIDEBAR = "[data-component-id='mlflow_header.toggle_sidebar_button']"
SETTLE = 3  # seconds for a chart's animation


def main() -> None:
    """Start both servers, let Chromium look at them and at the report, save what it sees, stop everything."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        page.look(*SIZE)
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        with server("ui", "--port", str(free_port()), **store) as address:
            mlflow(page, address)
        with server("serve", "mnist", "--port", "0") as address:
            drawing(page, address)
        report(page)


def mlflow(page: Page, address: str) -> None:
    """What `make ui` opens: the curves of one dataset's runs, one run alone, all runs with the chosen columns."""
    open_page(page, address, f"{runs(6)} && document.querySelector({ASSISTANT!r}) != null")
    page.js(f"document.querySelector({ASSISTANT!r}).click()")
    page.js("document.querySelector('input[type=search]').focus()")
    page.write(f" and tags.dataset = '{DATASET}'")
    page.wait(runs(3))
    save(page, "curves")

    run = page.js("[...document.querySelectorAll('a')].find(link => link.innerText.endsWith('mlp')).href")
    open_page(page, f"{run}?workflowType=machine_learning", "document.body.innerText.includes('Child runs')")
    save(page, "run")

    open_page(page, address, runs(6))
    page.js(f"document.querySelector({SIDEBAR!r}).click()")
    page.js("document.querySelector('input[value=TABLE]').click()")
    page.wait("document.body.innerText.includes('Duration')")
    save(page, "runs")


def drawing(page: Page, address: str) -> None:
    """The page of `make serve` with a digit drawn on it."""
    open_page(page, address, "document.querySelectorAll('#classes tr').length == 10")
    x, y, side = page.js("(({x, y, width}) => [x, y, width])(drawing.getBoundingClientRect())")
    page.mouse(*[(x + side * right, y + side * down) for right, down in between(SEVEN)])
    page.wait("!empty && !asking && document.querySelector('#classes .best') != null")
    save(page, "drawing")


def report(page: Page) -> None:
    """The report: how one dataset's runs learned and what they confuse; what softmax regression looks for."""
    open_page(page, Path("reports/index.html").absolute().as_uri(), "document.querySelector('footer') != null")
    for name, heading in (("report", "Learning curves"), ("templates", "What softmax regression looks for")):
        page.js(f"[...document.querySelectorAll('h3')].find(h => h.innerText == '{heading}').scrollIntoView()")
        save(page, name)


def between(corners: list[tuple[float, float]], steps: int = 8) -> list[tuple[float, float]]:
    """The corners and points on the lines from each to the next."""
    return [
        (a + (c - a) * step / steps, b + (d - b) * step / steps)
        for (a, b), (c, d) in itertools.pairwise(corners)
        for step in range(steps + 1)
    ]


def runs(number: int) -> str:
    """JavaScript that is true when the list of runs is complete."""
    return f"document.body.innerText.includes('{number} matching runs')"


def open_page(page: Page, address: str, ready: str) -> None:
    """Go to `address`, from an empty page since a mere change of what follows # loads nothing, and wait."""
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=address)
    page.wait(f"Boolean(document.body && {ready})")


def save(page: Page, name: str) -> None:
    """Save what is seen now as docs/images/NAME.png."""
    time.sleep(SETTLE)
    page.screenshot(IMAGES / f"{name}.png")
    print(f"{IMAGES / name}.png", flush=True)


@contextmanager
def server(command: str, *arguments: str, **environment: str) -> Iterator[str]:
    """Run `samebits COMMAND`, give the address that it prints, and end it with all that it started."""
    line = [sys.executable, "-m", "samebits", command, *arguments]
    with subprocess.Popen(
        line, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            address = next(filter(None, (re.search(r"http://127\S+", printed) for printed in process.stdout)))[0]
            wait_for(address)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(address: str, patience: float = 60) -> None:
    """Return as soon as something listens at `address`."""
    port, until = int(address.split(":")[2].partition("/")[0]), time.monotonic() + patience
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
