"""Write the reference that the gate compares with: `make reference`, by hand alone, after a change that is meant.

reference/DATASET/RUN.json holds the figures of every seed, and the parameters, data and model they are of. It is
committed; the pipeline neither reads nor writes it.
"""

import csv
import datetime
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.command import command
from stages.errors import UserError
from stages.files import read_json, sha256, write_json
from stages.params import RUNS, Params, Training, load
from stages.provenance import changed_since, git_tags
from stages.regression.records import Provenance, Record, parameters, record

REFERENCE = "reference/{dataset}/{run}.json"
DATA = "data/processed/{dataset}"
MODEL = "models/{dataset}/{run}"
METRICS = "metrics/{dataset}/{run}.json"


def main(
    datasets: Annotated[list[str] | None, typer.Argument(help="Only these; all of params.yaml if none.")] = None,
) -> None:
    """Make what the pipeline left for every run the reference of later gates: all of it, or nothing."""
    params = load()
    made = provenance()  # before the first file is written, which Git would see
    records = [measured(dataset, run, params) for dataset in chosen(datasets, params) for run in RUNS]
    for here in records:
        path = Path(REFERENCE.format(dataset=here.dataset, run=here.run))
        seeds = f"{len(here.seeds)} seed{'s' if len(here.seeds) > 1 else ''}"
        if _recorded(path) == here:
            print(f"{path}: the same already ({seeds})")
        else:
            write_json(path, here.model_copy(update={"provenance": made}).model_dump())
            print(f"{path}: written ({seeds})")


def chosen(datasets: list[str] | None, params: Params) -> list[str]:
    """Return the datasets asked for, or those of params.yaml; it need not name one whose outputs are here."""
    for dataset in datasets or ():
        if not re.fullmatch("[a-z0-9_]+", dataset):
            raise UserError(f"'{dataset}' is no dataset: params.yaml names {', '.join(params.datasets)}")
    return list(dict.fromkeys(datasets or params.datasets))


def measured(dataset: str, run: str, params: Params) -> Record:
    """Read the finished outputs of one run. Raises UserError naming what is missing or does not fit together."""
    names = {"dataset": dataset, "run": run}
    data, folder, metrics = (Path(path.format(**names)) for path in (DATA, MODEL, METRICS))
    model, history, summary = folder / "model.safetensors", folder / "history.csv", data / "summary.json"
    if missing := [path for path in (summary, model, history, metrics) if not path.is_file()]:
        raise UserError(f"{missing[0]} is missing: run `dvc repro`")
    if changed := changed_since(str(data), str(folder)):
        raise UserError(f"{changed} has changed since {dataset} {run} was trained: run `dvc repro`")
    try:
        return _record(names, params, read_json(summary), read_json(metrics), _rows(history), sha256(model))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the outputs of {dataset} {run} are damaged ({type(error).__name__}: {error}): run `dvc repro`"
        ) from None


def _record(
    names: dict[str, str], params: Params, summary: Any, metrics: Any, rows: list[dict[str, str]], model_sha256: str
) -> Record:
    name, run = " ".join(names.values()), names["run"]
    training = params.training(run)
    _check(name, training, metrics, rows, model_sha256)
    values = {
        "test_accuracy": metrics["test"]["accuracy"]["per_seed"],
        "test_loss": metrics["test"]["loss"]["per_seed"],
        "first_train_loss": _train_losses(rows, training.seeds, epoch=1),
        "last_train_loss": _train_losses(rows, training.seeds, training.epochs),
    }
    return record(
        {
            **names,
            "parameters": parameters(params, run),
            "data_digest": summary["digest"],
            "test_images": summary["splits"]["test"]["images"],
            "model_sha256": model_sha256,
            "seeds": training.seeds,
            "values": values,
        },
        f"the outputs of {name}",
    )


def _train_losses(rows: list[dict[str, str]], seeds: list[int], epoch: int) -> list[float]:
    by_seed = {int(row["seed"]): float(row["train_loss"]) for row in rows if int(row["epoch"]) == epoch}
    return [by_seed[seed] for seed in seeds]


def _check(name: str, training: Training, metrics: Any, rows: list[dict[str, str]], model_sha256: str) -> None:
    """Refuse outputs that are not of one another, or not of params.yaml."""
    if metrics["model_sha256"] != model_sha256:
        raise UserError(f"the metrics of {name} are of another model than the one that is here: run `dvc repro`")
    if metrics["seeds"] != training.seeds:
        both = f"{metrics['seeds']}, in params.yaml {training.seeds}"
        raise UserError(f"the seeds in the metrics of {name} are {both}: run `dvc repro`")
    trained = [(int(row["seed"]), int(row["epoch"])) for row in rows]
    if sorted(trained) != [(s, e) for s in sorted(training.seeds) for e in range(1, training.epochs + 1)]:
        last = max((epoch for _, epoch in trained), default=0)
        raise UserError(
            f"the history of {name} has {len(rows)} rows, to epoch {last}, not one for each of the "
            f"{len(training.seeds)} seeds and {training.epochs} epochs of params.yaml: run `dvc repro`"
        )


def recorded(dataset: str, run: str) -> Record:
    """Read the committed reference of one run. Raises UserError if it is missing, damaged or of another form."""
    path = Path(REFERENCE.format(dataset=dataset, run=run))
    try:
        reference = record(read_json(path), path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `make reference` writes it, then it is to be committed") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): restore it from Git") from None
    if (reference.dataset, reference.run) != (dataset, run):
        raise UserError(f"{path} is the reference of {reference.dataset} {reference.run}: restore it from Git")
    return reference


def _recorded(path: Path) -> Record | None:
    """The reference as it is, provenance apart, if it can be read: one that says the same stays as it is."""
    try:
        return record(read_json(path), path).model_copy(update={"provenance": None})
    except (UserError, OSError, ValueError):
        return None


def provenance() -> Provenance:
    """Return the commit, the day (UTC) and the versions that a reference is made with."""
    tags = git_tags()
    return Provenance(
        commit=tags.get("mlflow.source.git.commit"),
        dirty=tags["git_dirty"] == "true" if tags else None,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        python=platform.python_version(),
        torch=version("torch"),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    command(main)
