"""Publish finished results to MLflow: each dataset x run once, known by a hash of what it is.

Nothing here is part of training: a result that DVC restored from its cache is published like a new one, and a dead
server costs a warning. `python -m stages.publish [DATASET...]` does by hand what `evaluate` does as best effort;
its exit code is 3 where MLflow cannot be reached.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import chdir, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from safetensors import SafetensorError, safe_open

from stages import params as parameters
from stages import tracking
from stages.command import UserError, command
from stages.files import read_json, sha256, write_text
from stages.learning.description import describe
from stages.params import RUNS, Params, Training
from stages.provenance import changed_since, checked_out, experiments, git_tags, lock_tags
from stages.results import charts
from stages.results.style import COLORS

UNAVAILABLE = 3  # exit code

DATA = "data/processed/{dataset}"
MODEL = "models/{dataset}/{run}"
LOG = "logs/{dataset}/{run}.json"
ARTIFACTS = {  # in MLflow: here
    "model/model.safetensors": f"{MODEL}/model.safetensors",
    "history.csv": f"{MODEL}/history.csv",
    "metrics.json": "metrics/{dataset}/{run}.json",
    "classes.csv": "metrics/{dataset}/{run}_classes.csv",
    "confusion.csv": "metrics/{dataset}/{run}_confusion.csv",
    "predictions.csv": "predictions/{dataset}/{run}.csv",
}


class UnfinishedError(Exception):
    """The outputs of a run are not there, or do not belong together."""


def main(
    datasets: Annotated[list[str] | None, typer.Argument(help="Only these; all of params.yaml if none.")] = None,
    rev: Annotated[str | None, typer.Option(help="Results of this Git revision, out of DVC's cache.")] = None,
    all_experiments: Annotated[bool, typer.Option(help="Results of all of DVC's experiments.")] = False,
) -> None:
    """Publish every finished result that MLflow does not have yet."""
    try:
        if rev:
            publish_revision(rev, {"mlflow.source.git.branch": rev}, *datasets or ())
        if all_experiments:
            for name, commit in experiments().items():
                print(f"experiment {name}:", flush=True)
                publish_revision(commit, {"dvc_experiment": name}, *datasets or ())
        if not rev and not all_experiments:
            publish(*datasets or ())
    except tracking.UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(UNAVAILABLE) from None


def publish_revision(rev: str, tags: dict[str, str], *datasets: str) -> None:
    """Publish what was finished at a Git revision, with `tags`, into the same store. Raises as `publish` does."""
    tracking.pin()
    with checked_out(rev) as folder, chdir(folder):
        publish(*datasets, tags=tags)


def publish(*datasets: str, tags: Mapping[str, str] | None = None) -> None:
    """Publish the finished runs of `datasets`, or of all in params.yaml, and print a line for each run.

    Raises UserError for a dataset that params.yaml does not name, tracking.UnavailableError if the store fails.
    """
    params = parameters.load()
    if unknown := set(datasets) - set(params.datasets):
        raise UserError(f"{', '.join(sorted(unknown))}: params.yaml names only {', '.join(params.datasets)}")
    records = []
    for dataset in datasets or params.datasets:
        for run in RUNS:
            try:
                entry = record(dataset, run, params)
                records.append(replace(entry, tags={**entry.tags, **(tags or {})}))
            except UnfinishedError as reason:
                print(f"{dataset} {run}: not published, {reason}: run `dvc repro`", flush=True)
    if not records:
        return
    with tracking.connect() as store:
        for entry in records:
            fresh = not store.has(entry.key)
            if fresh:
                with tempfile.TemporaryDirectory() as folder:
                    gather(entry.dataset, entry.run, Path(folder))
                    fresh = store.add(entry, Path(folder))
            print(f"{entry.name}: {'published' if fresh else 'already there'}", flush=True)


def record(dataset: str, run: str, params: Params) -> tracking.Record:
    """Read the finished outputs of one run. Raises UnfinishedError, saying what is missing or does not fit."""
    paths = {name: Path(path.format(dataset=dataset, run=run)) for name, path in ARTIFACTS.items()}
    summary = Path(DATA.format(dataset=dataset)) / "summary.json"
    if missing := [path for path in (summary, *paths.values()) if not path.exists()]:
        raise UnfinishedError(f"{missing[0]} is missing")
    if changed := changed_since(DATA.format(dataset=dataset), MODEL.format(dataset=dataset, run=run)):
        raise UnfinishedError(f"{changed} has changed since")
    try:
        return _record(dataset, run, params, read_json(summary), paths)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnfinishedError(f"its outputs cannot be read ({type(error).__name__}: {error})") from None


def _record(dataset: str, run: str, params: Params, summary: Any, paths: dict[str, Path]) -> tracking.Record:
    training, results = params.training(run), read_json(paths["metrics.json"])
    history = pd.read_csv(paths["history.csv"])
    _check(training, sha256(paths["model/model.safetensors"]), history, results)
    names = {"dataset": dataset, "run": run}
    hashes = {"dataset_digest": summary["digest"], "model_sha256": results["model_sha256"]}
    chosen = {"arithmetic": params.arithmetic, **params.preprocess.model_dump(), **training.model_dump()}
    identity = json.dumps({**names, **hashes, "parameters": chosen, "metrics": results}, sort_keys=True)
    log = training_log(dataset, run, results["model_sha256"])
    return tracking.Record(
        key=hashlib.sha256(identity.encode()).hexdigest(),
        dataset=dataset,
        run=run,
        note=_note(summary["title"], run, results),
        params={**names, **chosen, "parameters": results["parameters"]},
        metrics=_metrics(history, results),
        seeds=_seeds(history, results),
        weights=weights(paths["model/model.safetensors"], Path(DATA.format(dataset=dataset))),
        tags={**names, **hashes, **log, **git_tags(), **lock_tags(), **_shown(run, training)},
        digest=summary["digest"],
        source=DATA.format(dataset=dataset),
        seconds=float(log.get("seconds", 0)),
    )


def _shown(run: str, training: Training) -> dict[str, str]:
    """What the UI goes by: only a parent has `seeds`; a run's colour is the report's, or else two may get the same."""
    return {"seeds": str(len(training.seeds)), "mlflow.runColor": COLORS[run]}


def _check(training: Training, model_sha256: str, history: pd.DataFrame, results: Any) -> None:
    if results["model_sha256"] != model_sha256:
        raise UnfinishedError("its metrics are of another model")
    if not training.seeds == results["seeds"] == history["seed"].unique().tolist():
        raise UnfinishedError("its seeds are not those of params.yaml")
    if set(history["epoch"]) != set(range(1, training.epochs + 1)):
        raise UnfinishedError("its epochs are not those of params.yaml")


def _metrics(history: pd.DataFrame, results: Any) -> dict[str, dict[int, float]]:
    """Name -> epoch -> value: history's mean over the seeds, its last epoch in the figures of the evaluation.

    The spread over the seeds belongs to no epoch: at 0 alone, MLflow draws it as bars.
    """
    epochs = history.drop(columns="seed").groupby("epoch").mean()
    metrics = {str(name): dict(zip(epochs.index.tolist(), epochs[name].tolist(), strict=True)) for name in epochs}
    for split in [split for split in ("validation", "test") if split in results]:
        for quantity, figures in results[split].items():
            name = f"{split}_{quantity}"
            metrics[name][int(epochs.index.max())] = figures["mean"]
            if "std" in figures:
                low, high = figures["ci95"]
                spread = {"std": figures["std"], "ci95_low": low, "ci95_high": high}
                metrics |= {f"{name}_{measure}": {0: value} for measure, value in spread.items()}
    return metrics


def _seeds(history: pd.DataFrame, results: Any) -> dict[int, dict[str, dict[int, float]]]:
    """Seed -> name -> epoch -> value: each seed's history, its last epoch in the figures of the evaluation."""
    seeds = {}
    for place, seed in enumerate(results["seeds"]):
        epochs = history[history["seed"] == seed].drop(columns="seed").set_index("epoch")
        metrics = {str(name): dict(zip(epochs.index.tolist(), epochs[name].tolist(), strict=True)) for name in epochs}
        for split in [split for split in ("validation", "test") if split in results]:
            for quantity, figures in results[split].items():
                metrics[f"{split}_{quantity}"][int(epochs.index.max())] = figures["per_seed"][place]
        seeds[seed] = metrics
    return seeds


def weights(path: Path, data: Path) -> tracking.Weights | None:
    """Return what a model that MLflow can load is made of; None if the file does not say what it is."""
    try:
        known = describe(path)
    except UserError:
        return None  # of an older revision, before models described themselves
    height, width = known.image
    example = np.zeros((2, height, width), np.uint8)
    with suppress(FileNotFoundError, SafetensorError), safe_open(data / "test.safetensors", "numpy") as split:
        example[:] = split.get_slice("images")[:2]
    return tracking.Weights(path.absolute(), (height, width), tuple(known.classes), example)


def _note(title: str, run: str, results: Any) -> str:
    accuracy, seeds = results["test"]["accuracy"], len(results["seeds"])
    spread = f" (standard deviation {accuracy['std']:.4f} over {seeds} seeds)" if "std" in accuracy else ""
    return f"{title}, {run}: test accuracy {accuracy['mean']:.4f}{spread}"


def training_log(dataset: str, run: str, model_sha256: str) -> dict[str, str]:
    """Return device, threads, seconds and versions of the training that made this very model, if it left them."""
    try:
        log = read_json(Path(LOG.format(dataset=dataset, run=run)))
        if log.pop("model_sha256") != model_sha256:
            return {}
        return {name: str(value) for name, value in (log | log.pop("versions")).items()}
    except (AttributeError, FileNotFoundError, KeyError, TypeError, ValueError):
        return {}  # it is no output: nothing hangs on it


def gather(dataset: str, run: str, folder: Path) -> None:
    """Fill `folder` with what a person wants to see or fetch: the model, the tables and their charts."""
    for name, path in ARTIFACTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path.format(dataset=dataset, run=run), folder / name)
    confusion = pd.read_csv(folder / "confusion.csv", dtype={"actual": str, "predicted": str}, keep_default_na=False)
    figures = {
        "learning_curves": charts.learning_curves(pd.read_csv(folder / "history.csv")),
        "confusion_matrix": charts.confusion_matrix(confusion, confusion["actual"].unique().tolist()),
    }
    for name, figure in figures.items():
        write_text(folder / "plots" / f"{name}.svg", charts.to_svg(figure))


if __name__ == "__main__":
    command(main)
