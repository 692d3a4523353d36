"""The test accuracies that the notes show, and what came out here: the one place that holds those figures."""

import statistics
from dataclasses import dataclass
from typing import Any

from samebits.base.params import Training
from samebits.outcome.finished import Dataset, Run

# The network on MNIST after each epoch: the percentage as printed, and the images named correctly, of 10,000.
NETWORK = (
    (55.0, 5546),
    (86.0, 8688),
    (91.0, 9107),
    (94.0, 9406),
    (95.0, 9505),
    (95.97, 9597),
    (96.19, 9619),
    (96.33, 9633),
    (96.96, 9696),
)
# What the notes hold a figure for, by epoch; softmax regression's are drawn as a curve, with no number in print.
Printed = tuple[float, int] | None
FIGURES: dict[tuple[str, str], dict[int, Printed]] = {
    ("fashion_mnist", "scratch"): {20: None},
    ("fashion_mnist", "concise"): {10: None},
    ("mnist", "mlp"): dict(enumerate(NETWORK, 1)),
}
# The notes' own parameters, but for the seeds: they name none.
_SOFTMAX = {"batch_size": 256, "lr": 0.1, "momentum": 0.0, "init_std": 0.01, "hidden": []}
PARAMETERS: dict[str, dict[str, Any]] = {
    "scratch": {"epochs": 20, **_SOFTMAX},
    "concise": {"epochs": 10, **_SOFTMAX},
    "mlp": {
        "epochs": 9,
        "batch_size": 64,
        "lr": 0.01,
        "momentum": 0.5,
        "init_std": None,
        "hidden": [520, 320, 240, 120],
    },
}
IMAGES = {"train": 60_000, "test": 10_000}
PIXELS = [28, 28]


@dataclass(frozen=True)
class Row:
    """One figure of the notes (`percent` and `count` are None where it is only drawn) and the accuracies here."""

    dataset: str
    run: str
    epoch: int
    percent: float | None
    count: int | None
    accuracies: list[float]  # one a seed

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def inside(self) -> bool | None:
        """Whether the notes' count lies within the range over the seeds; None without a figure or without a range."""
        if self.count is None or len(self.accuracies) < 2:
            return None
        return min(self.accuracies) <= self.count / IMAGES["test"] <= max(self.accuracies)


def beside(dataset: Dataset) -> list[Row]:
    """Return a row for each figure of the notes on `dataset`, of the runs that are made as theirs were."""
    return [row for run in dataset.standard if _theirs(dataset, run) for row in _rows(dataset, run)]


def _theirs(dataset: Dataset, run: Run) -> bool:
    """Whether the data and all parameters but the seeds are the notes' own."""
    splits = {name: dataset.summary["splits"][name]["images"] for name in IMAGES}
    return dataset.summary["image"] == PIXELS and splits == IMAGES and _chosen(run.block) == PARAMETERS[run.name]


def _chosen(training: Training) -> dict[str, object]:
    return training.model_dump(exclude={"seeds"})


def _rows(dataset: Dataset, run: Run) -> list[Row]:
    epochs = run.history.groupby("epoch")["test_accuracy"].agg(list)
    figures = FIGURES.get((dataset.name, run.name), {})
    return [
        Row(dataset.name, run.name, epoch, percent, count, epochs[epoch])
        for epoch, printed in figures.items()
        for percent, count in [printed or (None, None)]
    ]
