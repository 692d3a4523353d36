"""What came out of the pipeline, gathered for those who show it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stages.params import Training


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


@dataclass(frozen=True)
class Dataset:
    """One dataset: its summary, its first test images uint8 [N, H, W], and its runs."""

    name: str
    summary: dict[str, Any]
    images: npt.NDArray[np.uint8]
    shared_start: dict[str, Any]  # whether scratch and concise, started alike, learned the same bits
    comparisons: list[dict[str, Any]]  # of each two runs: runs, seeds, difference, mcnemar
    runs: list[Run]
