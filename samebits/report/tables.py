"""Every run of every dataset in one tidy table each: what `dvc plots` draws and compares."""

from collections.abc import Callable

import pandas as pd

from samebits.outcome.finished import Dataset, Run
from samebits.report.notes import beside

SPLITS = ("train", "validation", "test")
_MCNEMAR = ("only_first", "only_second", "p")


def results(datasets: list[Dataset]) -> pd.DataFrame:
    """One row a run: its test accuracy and loss (means over the seeds), parameters, seeds, epochs and model.

    std, ci95_low and ci95_high are the accuracy's, empty with one seed.
    """
    return pd.DataFrame(
        {
            "dataset": dataset.name,
            "run": run.name,
            "accuracy": accuracy["mean"],
            "std": accuracy.get("std"),
            **dict(zip(("ci95_low", "ci95_high"), accuracy.get("ci95", (None, None)), strict=True)),
            "loss": run.metrics["test"]["loss"]["mean"],
            "parameters": run.metrics["parameters"],
            "seeds": len(run.training.seeds),
            "epochs": run.training.epochs,
            "model_sha256": run.metrics["model_sha256"],
        }
        for dataset in datasets
        for run in dataset.runs
        for accuracy in [run.metrics["test"]["accuracy"]]
    )


def comparison(datasets: list[Dataset]) -> pd.DataFrame:
    """One row for each two runs and common seed: the second's accuracy and loss minus the first's, and McNemar's."""
    rows = [
        [dataset.name, *pair["runs"], test["seed"], accuracy, loss, *(test[key] for key in _MCNEMAR)]
        for dataset in datasets
        for pair in dataset.comparisons
        if pair["seeds"]
        for test, accuracy, loss in zip(
            pair["mcnemar"], *(pair["difference"][key]["per_seed"] for key in ("accuracy", "loss")), strict=True
        )
    ]
    return pd.DataFrame(rows, columns=["dataset", "first", "second", "seed", "accuracy", "loss", *_MCNEMAR])


def notes(datasets: list[Dataset]) -> pd.DataFrame:
    """One row for each figure of the notes, empty where it is only drawn, beside the accuracies over the seeds."""
    rows = [
        [row.dataset, row.run, row.epoch, row.percent, row.count, row.mean, min(here), max(here), len(here), row.inside]
        for dataset in datasets
        for row in beside(dataset)
        for here in [row.accuracies]
    ]
    columns = [
        "dataset",
        "run",
        "epoch",
        "printed_percent",
        "printed_count",
        "mean",
        "least",
        "most",
        "seeds",
        "inside",
    ]
    return pd.DataFrame(rows, columns=columns).astype({"printed_count": "Int64"})


def reliability(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, logits (as they are, or divided by the temperature), and those of `reliability_of`."""
    return _stacked(datasets, reliability_of)


def reliability_of(run: Run) -> pd.DataFrame:
    """One row for each bin that holds images: logits, lower, upper, count, confidence, accuracy."""
    bins = {"as they are": run.calibration["reliability"], "scaled": run.calibration["scaled"]["reliability"]}
    rows = [{"logits": name, **row} for name, rows in bins.items() for row in rows if row["count"]]
    return pd.DataFrame(rows)


def shares(run: Run) -> pd.DataFrame:
    """A run's confusion matrix with `share`, the count's share of its row."""
    totals = run.confusion.groupby("actual")["count"].transform("sum")
    return run.confusion.assign(share=run.confusion["count"] / totals.where(totals > 0, 1))


def learning_curves(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, seed, epoch, split, loss, accuracy."""
    return _stacked(datasets, by_split)


def classes(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, class, precision, recall, f1, support."""
    return _stacked(datasets, lambda run: run.classes)


def confusion(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, actual, predicted, count."""
    return _stacked(datasets, lambda run: run.confusion)


def _stacked(datasets: list[Dataset], table: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
    stack = {(dataset.name, run.name): table(run) for dataset in datasets for run in dataset.runs}
    return pd.concat(stack, names=["dataset", "run"]).reset_index(level=["dataset", "run"])


def by_split(run: Run) -> pd.DataFrame:
    """A run's history with one row for each split: seed, epoch, split, loss, accuracy."""
    history, parts = run.history, []
    for split in SPLITS:
        if f"{split}_loss" in history:
            part = history[["seed", "epoch", f"{split}_loss", f"{split}_accuracy"]]
            part = part.set_axis(["seed", "epoch", "loss", "accuracy"], axis="columns")
            part.insert(2, "split", split)
            parts.append(part)
    return pd.concat(parts)


ALL = (results, learning_curves, classes, confusion, reliability, comparison, notes)
