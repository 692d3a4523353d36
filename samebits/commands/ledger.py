"""On which kinds of machine did these results come out? claims/ledger.csv as a table, and lines added to it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from samebits.base.destination import STDOUT
from samebits.base.errors import UserError
from samebits.claims import ledger, tally


def main(
    add: Annotated[
        Path | None,
        typer.Option(help="Add lines, as verify.html and site/verify.js make them, from this file; - is stdin."),
    ] = None,
) -> None:
    """Show which kinds of machine saw which results, and whether all saw the same; or add what others saw."""
    if add:
        _add(add)
        return
    if not (lines := ledger.read()):
        what = "holds no line" if ledger.LEDGER.exists() else "is missing"
        raise UserError(
            f"{ledger.LEDGER} {what}: `samebits verify --record`, or `samebits ledger --add FILE`, begins it"
        )
    found = tally.tally(lines, ledger.results_here())
    print(tally.terminal(found))
    if found.differing:
        raise typer.Exit(1)


def _add(path: Path) -> None:
    """Add the lines of a file that are not there yet. Raises UserError, and adds none, if one is no line."""
    name = "stdin" if path == STDOUT else str(path)
    try:
        text = (sys.stdin.buffer.read() if path == STDOUT else path.read_bytes()).decode()
    except UnicodeDecodeError:
        raise UserError(f"{name} is no text, and so no line of {ledger.LEDGER}") from None
    if not (given := ledger.lines_in(text, name)):
        raise UserError(f"{name} holds no line of {ledger.LEDGER}")
    new = ledger.add(given)
    print(f"{ledger.LEDGER}: {new} of {len(given)} lines added, {len(given) - new} were there")
