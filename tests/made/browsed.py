"""What a headless Chromium saw: `python -m tests.made.browsed verify.html` prints the page's line for the ledger."""

import sys
from pathlib import Path

from tests.made import chromium

TRAINING = 900  # seconds, on a busy machine


def line(page: chromium.Page, file: Path, *runs: str) -> str:
    """Have the page train runs of digits, and return the line that it gives."""
    page.call("Page.navigate", url=file.resolve().as_uri())
    page.wait("!!document.querySelector('#digits-mlp button')")
    for run in runs:
        page.js(f"document.querySelector('#digits-{run} button').click()")
    given = "document.getElementById('line').value"
    whole = " && ".join(f"{given}.includes('digits/{run}=')" for run in runs)
    return str(page.wait(f"{whole} && {given}", TRAINING))


if __name__ == "__main__":
    with chromium.browser() as page:
        print(line(page, Path(sys.argv[1]), "scratch", "concise", "mlp"))
