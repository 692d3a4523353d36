"""What a classifier loses before it has learned (notes A)."""

import functools
import math

import pandas as pd
import torch
from torch import Tensor, tensor

from samebits import exact
from samebits.learning.concise import network
from samebits.learning.initial import Layer, first_layers
from samebits.outcome.finished import Dataset, Run
from samebits.report.lessons.beside import (
    OPS,
    by_library,
    real,
)


def untrained(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, classes, must (the log of them) and has: the loss of the first weights on the images."""
    rows = [(dataset.name, run.name, len(dataset.summary["classes"]), *_start(dataset, run))
            for dataset in datasets for run in dataset.standard]  # fmt: skip
    return pd.DataFrame(rows, columns=["dataset", "run", "classes", "must", "has"])


def _start(dataset: Dataset, run: Run) -> tuple[float, float]:
    return must(len(dataset.summary["classes"])), by_library(*first_logits(dataset, run))


def must(classes: int) -> float:
    """What a classifier that knows nothing loses: the log of the number of classes."""
    return exact.log(real([classes])).item()


def first_logits(dataset: Dataset, run: Run) -> tuple[Tensor, Tensor]:
    """Return Z [N, K] and y [N] of the dataset's images before `run` has learned, with its first seed."""
    net = network(OPS, _kept_layers(tuple(widths(dataset, run)), run.block.init_std, run.training.seeds[0]))
    with torch.no_grad():
        return net(torch.from_numpy(dataset.first_images)), image_labels(dataset)


@functools.lru_cache(4)  # runs and datasets share them
def _kept_layers(widths: tuple[int, ...], init_std: float | None, seed: int) -> list[Layer]:
    return [(W[0], b[0]) for W, b in first_layers(widths, init_std, [seed])]


def image_labels(dataset: Dataset) -> Tensor:
    """Return the labels, int64 [N], of the dataset's first test images."""
    names = dataset.runs[0].predictions["actual"].head(len(dataset.first_images))
    return tensor([dataset.summary["classes"].index(name) for name in names])


def widths(dataset: Dataset, run: Run) -> list[int]:
    """Return the widths of a run's layers, inputs first."""
    return [math.prod(dataset.summary["image"]), *run.block.hidden, len(dataset.summary["classes"])]
