"""Publish finished results to MLflow by hand, as `evaluate` does when it has finished, as far as MLflow answers.

The exit code is 3 where MLflow cannot be reached.
"""

from typing import Annotated

import typer

from samebits.base.command_line import Datasets
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
    if rev:
        publish_revision(rev, {"mlflow.source.git.branch": rev}, *datasets or ())
    if all_experiments:
        for name, commit in experiments().items():
            print(f"experiment {name}:", flush=True)
            publish_revision(commit, {"dvc_experiment": name}, *datasets or ())
    if not rev and not all_experiments:
        publish(*datasets or ())
