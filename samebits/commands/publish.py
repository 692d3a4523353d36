"""Publish finished results to MLflow by hand, as `evaluate` does when it has finished, as far as MLflow answers.

The exit code is 3 where MLflow cannot be reached, 1 where nothing is finished that could be published.
"""

from typing import Annotated

import typer

from samebits.base.command_line import Datasets
from samebits.base.errors import UserError
from samebits.claims.copies import experiments
from samebits.tracking.publishing import publish, publish_revision


def main(
    datasets: Datasets = None,
    rev: Annotated[str | None, typer.Option(help="Results of this Git revision, out of DVC's cache.")] = None,
    all_experiments: Annotated[
        bool, typer.Option("--all-experiments", help="Results of all of DVC's experiments.")
    ] = False,
) -> None:
    """Publish every finished result that MLflow does not have yet."""
    found = 0
    if rev:
        found += publish_revision(rev, {"mlflow.source.git.branch": rev}, *datasets or ())
    if all_experiments:
        for name, commit in experiments().items():
            print(f"experiment {name}:", flush=True)
            found += publish_revision(commit, {"dvc_experiment": name}, *datasets or ())
    if not rev and not all_experiments:
        found += publish(*datasets or ())
    if not found:
        raise UserError("no run is finished, so there is nothing to publish")
