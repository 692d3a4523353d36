"""Is a result worse than the reference that was committed? docs/gate.md says how it decides.

Exit code 0: every run has the same bits, or changed and is no worse; 1: some figure is worse, or suspiciously better,
or has too few seeds to decide, or is not comparable.
"""

import sys
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from samebits.base.command_line import Datasets, Repro
from samebits.base.destination import STDOUT, deliver
from samebits.base.errors import UserError
from samebits.base.params import load
from samebits.claims import copies
from samebits.gate import render
from samebits.gate.judge import judge, without_reference
from samebits.gate.references import chosen
from samebits.gate.verdicts import Result


def main(
    datasets: Datasets = None,
    repro: Repro = False,
    alpha: Annotated[float, typer.Option(help="Rate of false alarms, of all comparisons together.")] = 0.05,
    markdown: Annotated[Path | None, typer.Option(help="Write the table, for a pull request; - is stdout.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdicts as JUnit XML; - is stdout.")] = None,
) -> None:
    """Compare the outputs with the committed reference, seed by seed, and say whether they are worse."""
    if not 0 < alpha < 0.5:
        raise UserError(f"--alpha is {alpha}, but a rate of false alarms is greater than 0 and less than 0.5")
    if markdown == junit == STDOUT:
        raise UserError("--markdown and --junit cannot both be written to standard output")
    asked = chosen(datasets, params := load())
    if repro and (missing := without_reference(asked, params)):  # with which no training could pass
        result = Result([], missing, alpha)
    else:
        with copies.up_to_date(datasets) if repro else nullcontext(Path()) as project, chdir(project):
            result = judge(asked, load(), alpha)
    if STDOUT not in (markdown, junit):
        print(render.terminal(result), flush=True)  # before a file that cannot be written
    for refusal in result.refusals:
        print(f"error: {refusal}", file=sys.stderr)
    for path, text in ((markdown, render.markdown), (junit, render.junit)):
        if path:
            deliver(text(result), path)
    if not result.passes:
        raise typer.Exit(1)
