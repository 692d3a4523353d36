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
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from samebits.base import git, paths
from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256, write_text
from samebits.base.params import Network, Params, Training, load
from samebits.claims.copies import checked_out
from samebits.datasets import catalog
from samebits.learning.arithmetic import VERSIONS
from samebits.learning.description import describe
from samebits.outcome.finished import Data, Run
from samebits.outcome.freshness import require_fresh
from samebits.outcome.reader import StaleError, read_data, read_run
from samebits.report import charts
from samebits.report.style import colors
from samebits.tracking import address
from samebits.tracking.colors import color
from samebits.tracking.record import Model, Record
from samebits.tracking.store import Store, connect

ARTIFACTS = {  # in MLflow: here
    "model/model.safetensors": paths.model,
    "history.csv": paths.history,
    "metrics.json": paths.metrics,
    "classes.csv": paths.classes,
    "confusion.csv": paths.confusion,
    "predictions.csv": paths.predictions,
}
CHARTS = ("learning_curves", "confusion_matrix")
FILES = (*ARTIFACTS, *(f"plots/{name}.svg" for name in CHARTS))  # that a published run has

Word = Annotated[str, Field(max_length=200)]


def publish_revision(rev: str, tags: dict[str, str], *datasets: str) -> int:
    """Publish what was finished at a Git revision, with `tags`, into the same store, as `publish` does."""
    address.pin()
    with checked_out(rev) as folder, chdir(folder):
        return publish(*datasets, tags=tags)


def publish(*datasets: str, tags: Mapping[str, str] | None = None) -> int:
    """Publish the finished runs of `datasets`, or of all in params.yaml; print a line for each run, return how many.

    Raises UserError for a dataset that the catalog does not have, UnavailableError if the store fails.
    """
    params, known = load(), catalog.load(paths.CATALOG)
    asked = list(dict.fromkeys(datasets or params.datasets))
    for dataset in asked:
        known.entry(dataset)
    records = []
    for dataset in asked:
        for run in params.runs:
            try:
                entry = record(dataset, run, params)
                records.append(replace(entry, tags={**entry.tags, **(tags or {})}))
            except StaleError as error:
                # Of a dataset that params.yaml does not name `dvc repro` knows no stage.
                unnamed = f"{error.fault}, and params.yaml does not name {dataset}"
                print(f"{dataset} {run}: not published: {error if dataset in params.datasets else unnamed}", flush=True)
    if not records:
        return 0
    with connect() as store:
        for entry in records:
            print(f"{entry.name}: {_put(entry, store)}", flush=True)
    return len(records)


def _put(entry: Record, store: Store) -> str:
    """Have a run in the store, with all its artifacts, and say what that took."""
    there = store.find(entry.key)
    if there and not store.lacks(there, FILES):
        return "already there"
    with tempfile.TemporaryDirectory() as folder:
        gather(entry.dataset, entry.run, Path(folder))
        if there:
            store.fill(there, entry, Path(folder))
            return "its artifacts were gone: published anew"
        return "published" if store.add(entry, Path(folder)) else "already there"


def record(dataset: str, run: str, params: Params) -> Record:
    """Make a record of the finished outputs of one run. Raises StaleError, saying what is missing or does not fit."""
    found = read_run(data := read_data(dataset), run, params)
    require_fresh(dataset, run)
    training, results, summary = found.training, found.metrics, data.summary
    names = {"dataset": dataset, "run": run}
    hashes = {"dataset_digest": summary["digest"], "model_sha256": results["model_sha256"]}
    chosen = {"arithmetic": VERSIONS[params.arithmetic], **params.preprocess.model_dump(), **said(training)}
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
        tags={
            **_log_tags(log),
            **names,
            **hashes,
            **_git_tags(),
            **_lock_tags(),
            **_shown(found, dataset, params),
        },
        digest=summary["digest"],
        source=str(paths.processed(dataset)),
        seconds=log.seconds if log else 0.0,
    )


def said(training: Training | Network) -> dict[str, Any]:
    """Return the parameters of a run; of an optimizer those that are given, for the others are not None."""
    return training.model_dump(exclude_none=isinstance(training, Network))


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


def _shown(run: Run, dataset: str, params: Params) -> dict[str, str]:
    """What the UI goes by: only a parent has `seeds`."""
    place = list(catalog.load(paths.CATALOG).root).index(dataset)
    return {"seeds": str(len(run.training.seeds)), "mlflow.runColor": color(colors(params.runs)[run.name], place)}


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


class Log(BaseModel):
    """What a training left beside its outputs in logs/DATASET/RUN.json, as far as MLflow is told."""

    model_sha256: str
    seconds: Annotated[float, Field(ge=0, le=1e9)]  # NaN is neither
    device: Word | None = None
    threads: int | None = None
    versions: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], Word] = {}


def training_log(dataset: str, run: str, model_sha256: str) -> Log | None:
    """Return the log of the training that made this very model, if it left one that can be read."""
    file = paths.log(dataset, run)
    try:
        log = Log.model_validate(read_json(file)) if file.is_file() else None
    except (OSError, ValueError):
        return None  # it is no output: nothing hangs on it
    return log if log and log.model_sha256 == model_sha256 else None


def _log_tags(log: Log | None) -> dict[str, str]:
    """What a log says, each by its name."""
    if not log:
        return {}
    said = {**log.model_dump(exclude={"model_sha256", "versions"}, exclude_none=True), **log.versions}
    return {name: str(value) for name, value in said.items()}


def gather(dataset: str, run: str, folder: Path) -> None:
    """Fill `folder` with what a person wants to see or fetch: the model, the tables and their charts."""
    for name, path in ARTIFACTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path(dataset, run), folder / name)
    confusion = pd.read_csv(folder / "confusion.csv", dtype={"actual": str, "predicted": str}, keep_default_na=False)
    figures = (
        charts.learning_curves(pd.read_csv(folder / "history.csv")),
        charts.confusion_matrix(confusion, confusion["actual"].unique().tolist()),
    )
    for name, figure in zip(CHARTS, figures, strict=True):
        write_text(folder / "plots" / f"{name}.svg", charts.to_svg(figure))
