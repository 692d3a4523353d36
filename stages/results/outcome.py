"""What came out of the pipeline, gathered for those who show it."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stages.params import Training
from stages.results.gallery import Gallery


@dataclass(frozen=True)
class Run:
    """One run of a dataset: its parameters and the tables and figures that training and evaluation wrote."""

    name: str
    training: Training
    metrics: dict[str, Any]
    history: pd.DataFrame  # seed, epoch, SPLIT_loss, SPLIT_accuracy
    classes: pd.DataFrame  # class, precision, recall, f1, support
    confusion: pd.DataFrame  # actual, predicted, count
    predictions: pd.DataFrame  # index, actual, predicted, probability
    calibration: dict[str, Any] = field(default_factory=dict)  # ece, reliability, temperature, scaled
    gallery: Gallery = field(default_factory=Gallery)
    templates: npt.NDArray[np.float64] | None = None  # softmax regression's weights [K, H, W], of the first seed

    @property
    def diverged(self) -> str:
        """Which seeds ended training with a loss above log K, that of knowing nothing about K classes, in words.

        Empty for none. Each seed is judged by itself: a mean over ten would hide one.
        """
        last = self.history[self.history["epoch"] == self.history["epoch"].max()]
        seeds = last["seed"][last["train_loss"] > math.log(len(self.classes))].tolist()
        if not seeds:
            return ""
        which = "" if len(seeds) == len(last) else f" with seed {', '.join(map(str, seeds))}"
        return f"diverged{which}: the loss ended above that of knowing nothing"


@dataclass(frozen=True)
class Dataset:
    """One dataset: its summary, its first test images uint8 [N, H, W], and its runs."""

    name: str
    summary: dict[str, Any]
    images: npt.NDArray[np.uint8]
    shared_start: dict[str, Any]  # whether scratch and concise, started alike, learned the same bits
    comparisons: list[dict[str, Any]]  # of each two runs: runs, seeds, difference, mcnemar
    runs: list[Run]
    fitted_on: str = "train"  # the split that the runs' temperatures were fitted on
