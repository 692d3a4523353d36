"""The references that the gate compares with: what finished outputs say of a run, and what was committed of it.

reference/DATASET/RUN.json holds the figures of every seed, and the parameters, data and model they are of. It is
written by hand alone, after a change that is meant; the pipeline neither reads nor writes it.
"""

import datetime
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from samebits.base import git, paths
from samebits.base.errors import UserError, reason
from samebits.base.files import read_json
from samebits.base.params import Params
from samebits.datasets import catalog
from samebits.gate.records import Provenance, Record, parameters, record
from samebits.outcome.freshness import require_fresh
from samebits.outcome.reader import StaleError, read_data, read_run


def chosen(datasets: list[str] | None, params: Params) -> list[str]:
    """Return the datasets asked for, or those of params.yaml; it need not name one whose outputs are here.

    Raises UserError for one that is not in the catalog.
    """
    known, asked = catalog.load(paths.CATALOG), list(dict.fromkeys(datasets or params.datasets))
    for dataset in asked:
        known.entry(dataset)
    return asked


def measured(dataset: str, run: str, params: Params) -> Record:
    """Return the figures of a run as its finished outputs have them. Raises UserError if they cannot be relied on."""
    try:
        found = read_run(data := read_data(dataset), run, params)
        require_fresh(dataset, run)
    except StaleError as error:
        if dataset in params.datasets:
            raise
        # of which `dvc repro` knows no stage
        more = f"params.yaml does not name {dataset}, so give --repro, which runs it in a copy of the project"
        raise UserError(f"{error.fault}: {more}") from None
    seeds = found.training.seeds
    values = {
        "test_accuracy": found.metrics["test"]["accuracy"]["per_seed"],
        "test_loss": found.metrics["test"]["loss"]["per_seed"],
        "first_train_loss": _train_losses(found.history, seeds, epoch=1),
        "last_train_loss": _train_losses(found.history, seeds, found.training.epochs),
    }
    return record(
        {
            "dataset": dataset,
            "run": run,
            "parameters": parameters(params, run),
            "data_digest": data.summary["digest"],
            "test_images": data.summary["splits"]["test"]["images"],
            "model_sha256": found.metrics["model_sha256"],
            "seeds": seeds,
            "values": values,
        },
        f"the outputs of {dataset} {run}",
    )


def _train_losses(history: pd.DataFrame, seeds: list[int], epoch: int) -> list[float]:
    """Each seed's train loss after an epoch."""
    losses: list[float] = history[history["epoch"] == epoch].set_index("seed")["train_loss"][seeds].tolist()
    return losses


def recorded(dataset: str, run: str) -> Record:
    """Read the committed reference of one run. Raises UserError if it is missing, damaged or of another form."""
    path = paths.reference(dataset, run)
    try:
        reference = record(read_json(path), path)
    except FileNotFoundError:
        make = f"`make reference DATASETS={dataset}`"
        raise UserError(f"{path} is missing: {make} writes it, then it is to be committed") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from None
    except ValueError as error:
        fault = f"not valid JSON ({error})" if path.stat().st_size else "empty"
        raise UserError(f"{path} is {fault}: restore it from Git") from None
    if (reference.dataset, reference.run) != (dataset, run):
        raise UserError(f"{path} is the reference of {reference.dataset} {reference.run}: restore it from Git")
    return reference


def same_already(path: Path, here: Record) -> bool:
    """Whether the reference at `path` can be read and says the same, its provenance apart."""
    try:
        return record(read_json(path), path).model_copy(update={"provenance": None}) == here
    except (UserError, OSError, ValueError):
        return False


def provenance() -> Provenance:
    """Return the commit, the day (UTC) and the versions that a reference is made with."""
    checkout = git.checkout()
    return Provenance(
        commit=checkout.commit if checkout else None,
        dirty=checkout.dirty if checkout else None,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        python=platform.python_version(),
        torch=version("torch"),
    )
