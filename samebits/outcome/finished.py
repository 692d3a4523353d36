"""What came out of the pipeline, as typed values."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from samebits.base.params import RUNS, Network, Training

FIRST = 20  # test images that are shown, and learned from in the lessons


@dataclass(frozen=True)
class Run:
    """One run of a dataset: its parameters and the tables and figures that training and evaluation wrote."""

    name: str
    training: Training | Network
    metrics: dict[str, Any]
    history: pd.DataFrame  # seed, epoch, SPLIT_loss, SPLIT_accuracy
    classes: pd.DataFrame  # class, precision, recall, f1, support
    confusion: pd.DataFrame  # actual, predicted, count
    predictions: pd.DataFrame  # index, actual, predicted, probability
    calibration: dict[str, Any] = field(default_factory=dict)  # ece, reliability, temperature, scaled
    weight: npt.NDArray[np.float64] | None = None  # of a model that is one layer: the first seed's [K, D]
    layers: list[str] = field(default_factory=list)  # of a network of one's own

    @property
    def block(self) -> Training:
        """The parameters of one of RUNS. Raises TypeError for those of a network of one's own."""
        if not isinstance(self.training, Training):
            raise TypeError(f"{self.name} is a network of one's own")
        return self.training

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
class Data:
    """What a dataset was made into: its summary, and its test images uint8 [N, H, W] with the class of each."""

    name: str
    summary: dict[str, Any]
    images: npt.NDArray[np.uint8]
    actual: list[str]


@dataclass(frozen=True)
class Dataset:
    """One dataset: its summary, its test images uint8 [N, H, W], and its runs."""

    name: str
    summary: dict[str, Any]
    images: npt.NDArray[np.uint8]
    shared_start: dict[str, Any]  # whether scratch and concise, started alike, learned the same bits
    comparisons: list[dict[str, Any]]  # of each two runs: runs, seeds, difference, mcnemar
    runs: list[Run]
    fitted_on: str = "train"  # the split that the runs' temperatures were fitted on

    @property
    def standard(self) -> list[Run]:
        """The runs that are always there, RUNS: the lessons are about these."""
        return [run for run in self.runs if run.name in RUNS]

    @property
    def names(self) -> list[str]:
        """The names of all runs."""
        return [run.name for run in self.runs]

    @property
    def first_images(self) -> npt.NDArray[np.uint8]:
        """The first test images, uint8 [at most FIRST, H, W]."""
        return self.images[:FIRST]
