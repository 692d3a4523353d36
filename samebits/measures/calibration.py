"""Do probabilities keep their word? Of the images that are named with probability p, a share p should be right.

Reliability, expected calibration error and temperature are those of Guo, Pleiss, Sun and Weinberger (2017), "On
Calibration of Modern Neural Networks". Sums are rounded once (fsum) and the rest is single operations, so that in
exact arithmetic every machine writes the same.
"""

import math
from typing import Any

from torch import Tensor

from samebits.datasets.split import Split
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.training import figures
from samebits.measures.metrics import over_seeds

BINS = 15
FITTED = 10_000  # images are plenty for one number
COLDEST, HOTTEST = 1 / 16, 16.0  # inverse temperatures between which the best is looked for
STEPS = 32  # of golden section: 16 * 0.618^32 < 4e-6
GOLDEN = 0.6180339887498949


def held(splits: dict[str, Split]) -> tuple[str, Split]:
    """Return the split to fit the temperature on, and its name: nothing is ever fitted on test images.

    That is the validation images; where none were held out, training images, as many as FITTED.
    """
    name = "validation" if len(splits["validation"].labels) else "train"
    return name, Split(splits[name].images[:FITTED], splits[name].labels[:FITTED])


def measure(ops: Arithmetic, outputs: list[Tensor], labels: Tensor, T: float) -> dict[str, Any]:
    """Hold each seed's test logits [N, K] against labels [N]; `reliability` is of the first seed, whose predictions
    are written, as it is and `scaled`, with its logits divided by the temperature T.
    """
    seeds = [reliability(ops, Z, labels) for Z in outputs]
    scaled = reliability(ops, outputs[0] * (1 / T), labels)
    return {
        "ece": over_seeds([error(bins) for bins in seeds]),
        "reliability": seeds[0],
        "temperature": T,
        "scaled": {"ece": error(scaled), "reliability": scaled},
    }


def reliability(ops: Arithmetic, Z: Tensor, labels: Tensor) -> list[dict[str, Any]]:
    """Sort images with logits Z [N, K] by the probability of the class they are given into BINS of equal width.

    Each bin has its bounds, the count and, unless that is 0, the mean probability and the share that is right.
    """
    probabilities, predicted = ops.softmax(Z).max(1)
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for p, hit in zip(probabilities.tolist(), (predicted == labels).tolist(), strict=True):
        bins[min(int(p * BINS), BINS - 1)].append((p, hit))
    return [
        {
            "lower": i / BINS,
            "upper": (i + 1) / BINS,
            "count": len(found),
            "confidence": math.fsum(p for p, _ in found) / len(found) if found else None,
            "accuracy": sum(hit for _, hit in found) / len(found) if found else None,
        }
        for i, found in enumerate(bins)
    ]


def error(bins: list[dict[str, Any]]) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart, on an average over images."""
    gaps = [row["count"] * abs(row["accuracy"] - row["confidence"]) for row in bins if row["count"]]
    images: int = sum(row["count"] for row in bins)
    return math.fsum(gaps) / images


def temperature(ops: Arithmetic, Z: Tensor, labels: Tensor) -> float:
    """Return the T for which logits Z / T have the least mean cross entropy against labels [N].

    Above 1 the model is too sure of itself, below it too modest. The loss is convex in 1 / T: golden section.
    """

    def loss(cold: float) -> float:
        return figures(ops, Z * cold, labels)[0]

    low, high = COLDEST, HOTTEST
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = loss(right)
    return 2 / (low + high)
