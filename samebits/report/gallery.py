"""Which test images are worth a look: the surest mistakes, the least certain hits, what is confused with what."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

SHOWN = 10
PAIRS, EXAMPLES = 5, 3


@dataclass(frozen=True)
class Example:
    """A test image uint8 [H, W], its true and its predicted class, and the probability of the latter."""

    index: int
    actual: str
    predicted: str
    probability: float
    image: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Confused:
    """So many test images of a class that were taken for another, and some of them, the surest first."""

    actual: str
    predicted: str
    count: int
    examples: list[Example]


@dataclass(frozen=True)
class Gallery:
    """What of one run's predictions is shown."""

    mistakes: list[Example] = field(default_factory=list)  # wrong, the surest first
    doubts: list[Example] = field(default_factory=list)  # right, the least certain first
    confused: list[Confused] = field(default_factory=list)  # the most frequent first


def gallery(predictions: pd.DataFrame, images: npt.NDArray[np.uint8]) -> Gallery:
    """Choose from predictions (index, actual, predicted, probability) of test images [N, H, W]; ties: first wins."""
    wrong, right = _surest(predictions[_wrong(predictions)]), predictions[~_wrong(predictions)]
    doubts = right.sort_values(["probability", "index"], kind="stable")
    counts = wrong.value_counts(["actual", "predicted"], sort=False).reset_index()
    pairs = counts.sort_values(["count", "actual", "predicted"], ascending=[False, True, True]).head(PAIRS)
    return Gallery(
        _shown(wrong.head(SHOWN), images),
        _shown(doubts.head(SHOWN), images),
        [
            Confused(actual, predicted, count, _shown(_between(wrong, actual, predicted).head(EXAMPLES), images))
            for actual, predicted, count in pairs.itertuples(index=False)
        ],
    )


def _wrong(predictions: pd.DataFrame) -> "pd.Series[Any]":
    return predictions["actual"] != predictions["predicted"]


def _surest(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.sort_values(["probability", "index"], ascending=[False, True], kind="stable")


def _between(wrong: pd.DataFrame, actual: str, predicted: str) -> pd.DataFrame:
    return wrong[(wrong["actual"] == actual) & (wrong["predicted"] == predicted)]


def _shown(rows: pd.DataFrame, images: npt.NDArray[np.uint8]) -> list[Example]:
    return [
        Example(int(row["index"]), row["actual"], row["predicted"], float(row["probability"]), images[row["index"]])
        for row in rows.to_dict("records")
    ]
