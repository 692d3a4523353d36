"""Why the results can be believed: one hash where float32 has many, and what made them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from samebits import exact
from samebits.base import paths
from samebits.base.errors import UserError
from samebits.learning import scratch
from samebits.learning.arithmetic import arithmetic
from samebits.learning.initial import first_layers
from samebits.outcome.finished import Dataset, Run
from samebits.report.lessons.untrained import image_labels

SHUFFLES = 30
PACKAGES = ("torch", "numpy", "safetensors", "matplotlib", "dvc")  # what computes, keeps, draws and runs the results

Order = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """Sums of the same terms in many orders: the hash of each result, in the two arithmetics."""

    dataset: str
    what: str
    terms: int
    numbers: int  # that are summed side by side
    float32: list[str]
    exact: list[str]
    largest: float  # between the greatest and the least float32 result of a number


def spreads(datasets: list[Dataset]) -> list[Spread]:
    """For each dataset, the loss of its test images and the first gradient of scratch, summed in many orders."""
    return [spread for dataset in datasets for spread in (surprisals(dataset), gradients(dataset))]


def frame(spreads: list[Spread]) -> pd.DataFrame:
    """One row for each order of each sum: its hash in float32 and in exact arithmetic."""
    rows = [
        [spread.dataset, spread.what, order, *hashes]
        for spread in spreads
        for order, *hashes in zip(names(), spread.float32, spread.exact, strict=True)
    ]
    return pd.DataFrame(rows, columns=["dataset", "sum", "order", "float32", "exact"])


def names() -> list[str]:
    """Name the orders."""
    return ["as they come", "backwards", *(f"shuffled {i}" for i in range(1, SHUFFLES + 1))]


def orders(count: int) -> list[Order]:
    """Return the orders of `count` terms: as they come, backwards, and shuffled in ways that no machine changes."""
    shuffled = [exact.permutation(count, i, "proof.order").numpy() for i in range(1, SHUFFLES + 1)]
    return [np.arange(count), np.arange(count)[::-1], *shuffled]


def surprisals(dataset: Dataset) -> Spread:
    """The sum, over all test images, of the surprisal of the probability that scratch gives to the class it names."""
    p = torch.tensor(_scratch(dataset).predictions["probability"].tolist(), dtype=torch.float64)
    terms = 0.0 - exact.log(p)
    return _spread(
        dataset.name,
        "surprisal of the named class, of every test image",
        terms.to(torch.float32).numpy(),
        lambda order: exact.sum(terms[torch.from_numpy(order.copy())], 0),
    )


def gradients(dataset: Dataset) -> Spread:
    """The weight's gradient in the first step of scratch on the first test images, summed over them.

    float32's terms are (P - Y) X / (255 N), each of its operations rounded once.
    """
    run, ops = _scratch(dataset), arithmetic("wide")
    X, y = torch.from_numpy(dataset.first_images).flatten(1), image_labels(dataset)
    classes = len(dataset.summary["classes"])
    ((W, b),) = first_layers([X.shape[1], classes], run.block.init_std, run.training.seeds[:1])
    Z = scratch.net(ops, X, W[0], b[0])
    gap = (scratch.softmax(ops, Z) - one_hot(y, classes)).to(torch.float32).numpy() / np.float32(len(y))
    pixels = X.numpy().astype(np.float32) / np.float32(255)

    def exactly(order: Order) -> Tensor:
        o = torch.from_numpy(order.copy())
        return scratch.gradient(ops, X[o], y[o], Z[o])[0]

    what = f"first gradient of scratch, of {len(y)} test images"
    return _spread(dataset.name, what, gap[:, :, None] * pixels[:, None, :], exactly)


def _scratch(dataset: Dataset) -> Run:
    return next(run for run in dataset.runs if run.name == "scratch")


def _spread(dataset: str, what: str, terms: npt.NDArray[np.float32], exactly: Callable[[Order], Tensor]) -> Spread:
    """Sum float32 `terms` over their first axis one after the other, in every order, and let `exactly` do the same."""
    tried = orders(len(terms))
    sums = [in_turn(terms[order]) for order in tried]
    largest = float((np.max(sums, 0) - np.min(sums, 0)).max())
    hashes = [_hash(torch.from_numpy(total)) for total in sums]
    return Spread(dataset, what, len(terms), sums[0].size, hashes, [_hash(exactly(order)) for order in tried], largest)


def in_turn(terms: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Add float32 terms [N, ...] one after the other: single additions, so the same on every machine.

    numpy's sum may add in blocks, and does so differently on different processors; a running total cannot.
    """
    total: npt.NDArray[np.float32] = np.add.accumulate(terms, axis=0)[-1]
    return np.asarray(total)


def _hash(x: Tensor) -> str:
    return exact.digest({"sum": x})


@dataclass(frozen=True)
class Pin:
    """A package of requirements.lock: one version, and for which Python if not for every one."""

    name: str
    version: str
    condition: str


def read_pins(path: Path = paths.REQUIREMENTS) -> list[Pin]:
    """Read the versions that requirements.lock pins. Raises UserError naming what is missing."""
    try:
        return pins(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing here: it comes with the project, and the page shows its versions") from None


def pins(lock: str) -> list[Pin]:
    """Return what the text of requirements.lock pins of PACKAGES: what ought to be installed, whatever is.

    Raises UserError, naming the package that is not pinned.
    """
    found = [Pin(*match) for match in re.findall(r"^([\w.-]+)==([^\s;]+)(?: ; (.*?))?(?: \\)?$", lock, re.MULTILINE)]
    missing = set(PACKAGES) - {pin.name for pin in found}
    if missing:
        raise UserError(f"requirements.lock pins no {', '.join(sorted(missing))}: `make lock` writes it anew")
    return [pin for package in PACKAGES for pin in found if pin.name == package]
