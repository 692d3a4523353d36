"""The pipeline up to date, whatever an earlier run died of: `make repro`."""

import os
from typing import Annotated

import typer

from samebits.base import dvc
from samebits.claims import pipeline


def main(
    options: Annotated[list[str] | None, typer.Argument(help="Stages, and after -- options of `dvc repro`.")] = None,
) -> None:
    """Run what is not up to date, as `dvc repro` does; dvc.lock, outputs and DVC's cache are put in order as well."""
    pipeline.require_ready()
    with pipeline.in_order(*options or ()):
        with pipeline.running("repro", *options or (), env=dvc.with_this_python(os.environ)) as process:
            process.wait()
        if process.returncode:
            raise typer.Exit(process.returncode)
