"""Entropy and code length."""

import math
from collections.abc import Iterable

import pandas as pd
from torch import Tensor

from samebits import exact
from samebits.outcome.finished import Dataset
from samebits.report.lessons.beside import real


def bits(p: Tensor) -> Tensor:
    """Return the surprisal -log2 p in bits."""
    return (0.0 - exact.log(p)) / exact.log(real([2.0]))


def mean_bits(p: Iterable[float], q: Iterable[float]) -> float:
    """Return the cross entropy sum(p * -log2 q): the mean code length, in bits, of p's messages in q's code."""
    pairs = [(a, b) for a, b in zip(p, q, strict=True) if a]  # what never comes costs nothing
    lengths: list[float] = bits(real([b for _, b in pairs])).tolist()
    return math.fsum(a * length for (a, _), length in zip(pairs, lengths, strict=True))


def code() -> pd.DataFrame:
    """Columns p, word (of a code without commas), length, surprisal (bits), uniform (bits of a code for equal shares).

    The last row, word "mean", holds the means.
    """
    p, words = [0.5, 0.25, 0.125, 0.125], ["0", "10", "110", "111"]
    lengths, even = list(map(len, words)), [0.25] * 4
    rows = zip(p, words, lengths, bits(real(p)).tolist(), bits(real(even)).tolist(), strict=True)
    mean = math.fsum(share * length for share, length in zip(p, lengths, strict=True))
    means = (1.0, "mean", mean, mean_bits(p, p), mean_bits(p, even))
    return pd.DataFrame([*rows, means], columns=["p", "word", "length", "surprisal", "uniform"])


TRUE = 0.75  # the share of the first of two classes, in the curve


def cross_entropy_curve() -> pd.DataFrame:
    """Columns q and length: the mean bits of two classes with shares 3/4 and 1/4 in a code for q and 1 - q."""
    q = [i / 100 for i in range(2, 99)]
    return pd.DataFrame({"q": q, "length": [mean_bits([TRUE, 1 - TRUE], [each, 1 - each]) for each in q]})


def code_of_labels(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run and in bits: entropy of the true labels and of the predicted, cross (the true in the code of
    the predicted shares), and knowing: the mean test loss of the first seed, which has seen the image."""
    nats = exact.log(real([2.0])).item()
    rows = []
    for dataset in datasets:
        for run in dataset.runs:
            true, predicted = (_shares(run.confusion, axis, dataset) for axis in ("actual", "predicted"))
            knowing = run.metrics["test"]["loss"]["per_seed"][0] / nats
            lengths = [mean_bits(p, q) for p, q in ((true, true), (predicted, predicted), (true, predicted))]
            rows.append([dataset.name, run.name, *lengths, knowing])
    return pd.DataFrame(rows, columns=["dataset", "run", "true", "predicted", "cross", "knowing"])


def _shares(confusion: pd.DataFrame, axis: str, dataset: Dataset) -> list[float]:
    counts = confusion.groupby(axis)["count"].sum()
    return [int(counts.get(name, 0)) / int(counts.sum()) for name in dataset.summary["classes"]]
