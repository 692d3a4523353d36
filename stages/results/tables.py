"""Every run of every dataset in one tidy table each: what `dvc plots` draws and compares."""

from collections.abc import Callable

import pandas as pd

from stages.results.outcome import Dataset, Run

SPLITS = ("train", "validation", "test")


def results(datasets: list[Dataset]) -> pd.DataFrame:
    """One row a run: its test accuracy and loss (means over the seeds), parameters, seeds, epochs and model."""
    return pd.DataFrame(
        {
            "dataset": dataset.name,
            "run": run.name,
            "accuracy": run.metrics["test"]["accuracy"]["mean"],
            "loss": run.metrics["test"]["loss"]["mean"],
            "parameters": run.metrics["parameters"],
            "seeds": len(run.training.seeds),
            "epochs": run.training.epochs,
            "model_sha256": run.metrics["model_sha256"],
        }
        for dataset in datasets
        for run in dataset.runs
    )


def learning_curves(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, seed, epoch, split, loss, accuracy."""
    return _stacked(datasets, lambda run: _by_split(run.history))


def classes(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, class, precision, recall, f1, support."""
    return _stacked(datasets, lambda run: run.classes)


def confusion(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, actual, predicted, count."""
    return _stacked(datasets, lambda run: run.confusion)


def _stacked(datasets: list[Dataset], table: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
    stack = {(dataset.name, run.name): table(run) for dataset in datasets for run in dataset.runs}
    return pd.concat(stack, names=["dataset", "run"]).reset_index(level=["dataset", "run"])


def _by_split(history: pd.DataFrame) -> pd.DataFrame:
    """Turn the columns SPLIT_loss, SPLIT_accuracy into one row for each split."""
    parts = []
    for split in SPLITS:
        if f"{split}_loss" in history:
            part = history[["seed", "epoch", f"{split}_loss", f"{split}_accuracy"]]
            part = part.set_axis(["seed", "epoch", "loss", "accuracy"], axis="columns")
            part.insert(2, "split", split)
            parts.append(part)
    return pd.concat(parts)
