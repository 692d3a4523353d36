"""An independent check of dvc.lock in a browser: one page that asks for nothing (docs/verify.md)."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from samebits.base.command_line import note
from samebits.base.destination import STDOUT, deliver
from samebits.claims import copies, independent


def main(
    to: Annotated[Path, typer.Option(help="The page's file; - is stdout.")] = Path("verify.html"),
    repro: Annotated[bool, typer.Option("--repro", help="Train digits first, in a copy of the project.")] = False,
) -> None:
    """Write one page that trains the models of digits in a browser and holds them against dvc.lock."""
    with copies.up_to_date(["digits"]) if repro else nullcontext():
        committed = independent.committed()
    if missing := independent.missing(committed):
        note(
            f"{' and '.join(missing)} not here as dvc.lock has it: where bits differ, the page cannot say which "
            "number; `samebits page --repro` trains digits first"
        )
    deliver(independent.page(committed), to)
    if to != STDOUT:
        print(f"open {to} in a browser")
