"""Counts and figures of merit, from integers and correctly rounded operations alone."""

import math
import statistics
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import torch
from torch import Tensor


def confusion(actual: Tensor, predicted: Tensor, classes: int) -> list[list[int]]:
    """Return how often class i (row) was taken for class j (column); actual and predicted are integers [N]."""
    pairs = actual.long() * classes + predicted.long()
    counts: list[list[int]] = torch.bincount(pairs, minlength=classes**2).view(classes, classes).tolist()
    return counts


def per_class(counts: list[list[int]], names: list[str]) -> list[dict[str, Any]]:
    """Return precision, recall, F1 and support of each class; a ratio of nothing to nothing counts as 0."""
    predicted = [sum(column) for column in zip(*counts, strict=True)]
    return [
        {
            "class": name,
            "precision": _ratio(row[i], predicted[i]),
            "recall": _ratio(row[i], sum(row)),
            "f1": _ratio(2 * row[i], sum(row) + predicted[i]),
            "support": sum(row),
        }
        for i, (name, row) in enumerate(zip(names, counts, strict=True))
    ]


@dataclass(frozen=True)
class Measured:
    """One run on one split: seed by seed, its mean loss (nats) and which images it named correctly, bool [N]."""

    seeds: list[int]
    losses: list[float]
    right: list[Tensor]

    def summary(self) -> dict[str, Any]:
        """Return accuracy and loss over the seeds."""
        accuracies = [int(hits.sum()) / len(hits) for hits in self.right]
        return {"accuracy": over_seeds(accuracies), "loss": over_seeds(self.losses)}


def over_seeds(values: list[float]) -> dict[str, Any]:
    """Summarise a figure over seeds: mean, standard deviation (n - 1), 95 % interval of the mean, each value.

    The interval is Student's t. One seed has no spread: `std` and `ci95` are then absent.
    """
    mean = statistics.mean(values)
    if len(values) == 1:
        return {"mean": mean, "per_seed": values}
    std = statistics.stdev(values)
    half = t_quantile(0.975, len(values) - 1) * std / math.sqrt(len(values))
    return {"mean": mean, "std": std, "ci95": [mean - half, mean + half], "per_seed": values}


@cache
def t_quantile(p: float, df: int) -> float:
    """Return the quantile p > 1/2 of Student's t with `df` degrees of freedom, the same on every machine.

    P(T <= t) = 1 - I(df / (df + t^2); df/2, 1/2) / 2 (Abramowitz and Stegun 26.7.1), solved in software digits.
    """
    with mpmath.workdps(30):

        def excess(t: Any) -> Any:
            x = df / (df + t * t)
            return 1 - mpmath.betainc(mpmath.mpf(df) / 2, 0.5, 0, x, regularized=True) / 2 - mpmath.mpf(p)

        return float(mpmath.findroot(excess, (0, 1000), solver="bisect", tol=1e-40, maxsteps=300))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
