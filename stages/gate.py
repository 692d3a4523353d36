"""Is a result worse than the reference that was committed? `make gate` tells; docs/gate.md says how it decides.

It only reads what the pipeline left. Exit code 0: every run has the same bits, or changed and is no worse; 1: some
figure is worse, or suspiciously better, or has too few seeds to decide, or is not comparable.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from stages.command import command
from stages.errors import UserError
from stages.files import write_text
from stages.params import RUNS, Params, load
from stages.reference import chosen, measured, recorded
from stages.regression import render
from stages.regression.records import Record, other_parameters, parameters
from stages.regression.verdicts import Result, compare


def main(
    datasets: Annotated[list[str] | None, typer.Argument(help="Only these; all of params.yaml if none.")] = None,
    alpha: Annotated[float, typer.Option(help="Rate of false alarms, of all comparisons together.")] = 0.05,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file, for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdicts to this file as JUnit XML.")] = None,
) -> None:
    """Compare the outputs that are here with the committed reference, seed by seed, and say whether they are worse."""
    if not 0 < alpha < 0.5:
        raise UserError(f"--alpha is {alpha}, but a rate of false alarms is greater than 0 and less than 0.5")
    params = load()
    result = judge(chosen(datasets, params), params, alpha)
    for path, text in ((markdown, render.markdown), (junit, render.junit)):
        if path:
            write_text(path, text(result))
    print(render.terminal(result))
    for refusal in result.refusals:
        print(f"error: {refusal}", file=sys.stderr)
    if not result.passes:
        raise typer.Exit(1)


def judge(datasets: list[str], params: Params, alpha: float) -> Result:
    """Compare what is comparable of every run, and gather what is not, each with its reason."""
    pairs, refusals = [], []
    for dataset in datasets:
        for run in RUNS:
            pair, refused = read(dataset, run, params)
            refusals += [f"{dataset} {run}: {reason}" for reason in refused]
            if pair and not refused:
                pairs.append(pair)
    return Result(compare(pairs, alpha), refusals, alpha)


def read(dataset: str, run: str, params: Params) -> tuple[tuple[Record, Record] | None, list[str]]:
    """Return the reference and the run as it is here, if both can be read, and every reason not to compare them."""
    try:
        reference = recorded(dataset, run)
    except UserError as error:
        return None, [str(error)]
    refused = other_parameters(reference.parameters, parameters(params, run))
    try:
        here = measured(dataset, run, params)
    except UserError as error:
        return None, [*refused, str(error)]
    if reference.data_digest != here.data_digest:
        refused.append(f"the data's digest is {reference.data_digest} in the reference, {here.data_digest} here")
    return (reference, here), refused


if __name__ == "__main__":
    command(main)
