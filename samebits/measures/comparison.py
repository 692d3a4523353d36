"""Two runs beside each other, paired by seed and by image, from integers and correctly rounded operations alone."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from torch import Tensor

from samebits.measures.metrics import Measured, over_seeds


def compare(runs: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """Compare each two of `runs`, in their order."""
    return [{"runs": [first, second], **pair(runs[first], runs[second])} for first, second in combinations(runs, 2)]


def pair(first: Measured, second: Measured) -> dict[str, Any]:
    """Return, over the seeds that both have, `difference` (second minus first) and McNemar's test for each seed.

    `difference` holds accuracy and loss as `over_seeds` summarises them, and is empty without a common seed.
    """
    pairs = [(first.seeds.index(seed), second.seeds.index(seed)) for seed in first.seeds if seed in second.seeds]
    only = [_only(first.right[i], second.right[j]) for i, j in pairs]
    accuracy = [(b - a) / len(first.right[i]) for (a, b), (i, _) in zip(only, pairs, strict=True)]
    loss = [second.losses[j] - first.losses[i] for i, j in pairs]
    seeds = [first.seeds[i] for i, _ in pairs]
    return {
        "seeds": seeds,
        "difference": {"accuracy": over_seeds(accuracy), "loss": over_seeds(loss)} if seeds else {},
        "mcnemar": [
            {"seed": seed, "only_first": a, "only_second": b, "p": mcnemar(a, b)}
            for seed, (a, b) in zip(seeds, only, strict=True)
        ],
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of McNemar's test for the images that only the one, only the other got right.

    Were both runs equally good, each such image would fall to either like a fair coin: p is the chance of counts at
    least as far apart, twice the binomial tail. It is counted in integers and rounded once, by the division.
    """
    n, k = only_first + only_second, min(only_first, only_second)
    ways = tail = 1
    for i in range(k):
        ways = ways * (n - i) // (i + 1)  # n over i + 1
        tail += ways
    p: float = min(2 * tail, 2**n) / 2**n
    return p


def _only(first: Tensor, second: Tensor) -> tuple[int, int]:
    """Return how many images only the first, only the second named correctly."""
    return int((first & ~second).sum()), int((second & ~first).sum())
