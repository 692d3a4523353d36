"""Publishing finished results to MLflow: each dataset x run once, known by a hash of what it is.

Nothing here is part of training: a result that DVC restored from its cache is published like a new one, and a dead
server costs a warning.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from samebits.base import git, paths
from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256, write_text
from samebits.base.params import RUNS, Params, Training, load
from samebits.claims.copies import checked_out
from samebits.learning.description import describe
from samebits.outcome.finished import Data
from samebits.outcome.reader import StaleError, read_data, read_run, require_fresh
from samebits.report import charts
from samebits.report.style import COLORS
from samebits.tracking import address
from samebits.tracking.record import Model, Record
from samebits.tracking.store import connect

ARTIFACTS = {  # in MLflow: here
    "model/model.safetensors": paths.model,
    "history.csv": paths.history,
    "metrics.json": paths.metrics,
    "classes.csv": paths.classes,
    "confusion.csv": paths.confusion,
    "predictions.csv": paths.predictions,
}


def publish_revision(rev: str, tags: dict[str, str], *datasets: str) -> None:
    """Publish what was finished at a Git revision, with `tags`, into the same store. Raises as `publish` does."""
    address.pin()
    with checked_out(rev) as folder, chdir(folder):
        publish(*datasets, tags=tags)


def publish(*datasets: str, tags: Mapping[str, str] | None = None) -> None:
    """Publish the finished runs of `datasets`, or of all in params.yaml, and print a line for each run.

    Raises UserError for a dataset that params.yaml does not name, UnavailableError if the store fails.
    """
    params = load()
    if unknown := set(datasets) - set(params.datasets):
        raise UserError(f"{', '.join(sorted(unknown))}: params.yaml names only {', '.join(params.datasets)}")
    records = []
    for dataset in datasets or params.datasets:
        for run in RUNS:
            try:
                entry = record(dataset, run, params)
                records.append(replace(entry, tags={**entry.tags, **(tags or {})}))
            except StaleError as reason:
                print(f"{dataset} {run}: not published: {reason}", flush=True)
    if not records:
        return
    with connect() as store:
        for entry in records:
            fresh = not store.has(entry.key)
            if fresh:
                with tempfile.TemporaryDirectory() as folder:
                    gather(entry.dataset, entry.run, Path(folder))
                    fresh = store.add(entry, Path(folder))
            print(f"{entry.name}: {'published' if fresh else 'already there'}", flush=True)


def record(dataset: str, run: str, params: Params) -> Record:
    """Make a record of the finished outputs of one run. Raises StaleError, saying what is missing or does not fit."""
    found = read_run(data := read_data(dataset), run, params)
    require_fresh(dataset, run)
    training, results, summary = found.training, found.metrics, data.summary
    names = {"dataset": dataset, "run": run}
    hashes = {"dataset_digest": summary["digest"], "model_sha256": results["model_sha256"]}
    chosen = {"arithmetic": params.arithmetic, **params.preprocess.model_dump(), **training.model_dump()}
    identity = json.dumps({**names, **hashes, "parameters": chosen, "metrics": results}, sort_keys=True)
    log = training_log(dataset, run, results["model_sha256"])
    return Record(
        key=hashlib.sha256(identity.encode()).hexdigest(),
        dataset=dataset,
        run=run,
        note=_note(summary["title"], run, results),
        params={**names, **chosen, "parameters": results["parameters"]},
        metrics=_metrics(found.history, results),
        seeds=_seeds(found.history, results),
        model=loadable(data, run),
        tags={**names, **hashes, **log, **_git_tags(), **_lock_tags(), **_shown(run, training)},
        digest=summary["digest"],
        source=str(paths.processed(dataset)),
        seconds=float(log.get("seconds", 0)),
    )


def _lock_tags() -> dict[str, str]:
    """The hash of dvc.lock and the name of DVC's experiment, as far as there are such."""
    experiment = os.environ.get("DVC_EXP_NAME")
    return {
        **({"dvc_lock_sha256": sha256(paths.LOCK)} if paths.LOCK.exists() else {}),
        **({"dvc_experiment": experiment} if experiment else {}),
    }


def _git_tags() -> dict[str, str]:
    """Commit and branch under MLflow's names, and git_dirty; nothing outside a repository."""
    checkout = git.checkout()
    if not checkout:
        return {}
    return {
        "mlflow.source.name": str(paths.PIPELINE),
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": checkout.commit,
        "mlflow.source.git.branch": checkout.branch,
        "git_dirty": "true" if checkout.dirty else "false",
    }


def _shown(run: str, training: Training) -> dict[str, str]:
    """What the UI goes by: only a parent has `seeds`; a run's colour is the report's, or else two may get the same."""
    return {"seeds": str(len(training.seeds)), "mlflow.runColor": COLORS[run]}


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


def loadable(data: Data, run: str) -> Model | None:
    """Return what a model that MLflow can load is made of; None if the file does not say what it is."""
    path = paths.model(data.name, run)
    try:
        known = describe(path)
    except UserError:
        return None  # of an older revision, before models described themselves
    height, width = known.image
    example = np.zeros((2, height, width), np.uint8)
    example[: len(data.images)] = data.images[:2]
    return Model(path.absolute(), (height, width), tuple(known.classes), example)


def _note(title: str, run: str, results: Any) -> str:
    accuracy, seeds = results["test"]["accuracy"], len(results["seeds"])
    spread = f" (standard deviation {accuracy['std']:.4f} over {seeds} seeds)" if "std" in accuracy else ""
    return f"{title}, {run}: test accuracy {accuracy['mean']:.4f}{spread}"


def training_log(dataset: str, run: str, model_sha256: str) -> dict[str, str]:
    """Return device, threads, seconds and versions of the training that made this very model, if it left them."""
    try:
        log = read_json(paths.log(dataset, run))
        if log.pop("model_sha256") != model_sha256:
            return {}
        return {name: str(value) for name, value in (log | log.pop("versions")).items()}
    except (AttributeError, FileNotFoundError, KeyError, TypeError, ValueError):
        return {}  # it is no output: nothing hangs on it


def gather(dataset: str, run: str, folder: Path) -> None:
    """Fill `folder` with what a person wants to see or fetch: the model, the tables and their charts."""
    for name, path in ARTIFACTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path(dataset, run), folder / name)
    confusion = pd.read_csv(folder / "confusion.csv", dtype={"actual": str, "predicted": str}, keep_default_na=False)
    figures = {
        "learning_curves": charts.learning_curves(pd.read_csv(folder / "history.csv")),
        "confusion_matrix": charts.confusion_matrix(confusion, confusion["actual"].unique().tolist()),
    }
    for name, figure in figures.items():
        write_text(folder / "plots" / f"{name}.svg", charts.to_svg(figure))
