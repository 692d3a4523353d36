"""Figures beside figures: what the notes print, and what comes out here by one route or another."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, tensor
from torch.nn import functional as F

from samebits import exact
from samebits.exact import wide
from samebits.learning import scratch
from samebits.learning.arithmetic import Arithmetic
from samebits.report.lessons import printed
from samebits.report.lessons.printed import Digits, Example

OPS = cast(Arithmetic, wide)
MINUS = "\N{MINUS SIGN}"
FLOAT32 = 2e-6  # how far a figure that the notes trained in float32 may be from the exact one
ROUNDED = 2.4e-7  # the same for one that took a few float32 operations: 2 units in the last place
TERMS = 2.0**-38  # exact.exp rounds to multiples of 2^-40, and four of them are added
CLOSE = 1e-6  # what counts as agreement with torch's own functions


@dataclass(frozen=True)
class Row:
    """One line of the notes: its figures as printed, and here, to as many decimals as read the same."""

    notes: str
    what: str
    printed: Digits
    here: Digits
    difference: float  # the largest; 0 where every printed digit comes out
    agrees: bool


def beside(notes: str, what: str, digits: Sequence[str], values: Sequence[float], within: float = 0.0) -> Row:
    """Hold `values` against the printed digits: they agree if they round to them, or lie `within` of them."""
    here = [_as_printed(text, value) for text, value in zip(digits, values, strict=True)]
    gaps = [
        0.0 if mine == text else abs(float(text) - value)
        for text, mine, value in zip(digits, here, values, strict=True)
    ]
    return Row(notes, what, tuple(digits), tuple(here), max(gaps), max(gaps) <= within)


def _as_printed(text: str, value: float) -> str:
    """Write `value` with as many decimals as it shares with the printed `text`; with all of them if it shares none."""
    if float(text) == value:
        return text
    decimals = len(text.partition(".")[2])
    shared = (n for n in range(decimals, 0, -1) if f"{float(text):.{n}f}" == f"{value:.{n}f}")
    return f"{value:.{next(shared, decimals)}f}"


def real(values: object) -> Tensor:
    """Return a tensor of exact arithmetic's type."""
    return tensor(values, dtype=torch.float64)


def by_scratch(Z: Tensor, y: Tensor) -> float:
    """The mean loss by samebits.learning.scratch."""
    return math.fsum(scratch.cross_entropy(OPS, Z, y).tolist()) / len(y)


def by_library(Z: Tensor, y: Tensor) -> float:
    """The mean loss by samebits.exact, which has the library's interface."""
    return exact.cross_entropy(Z, y).item()


def by_torch(example: Example) -> list[float]:
    """The losses by torch's own function, in float64: the same up to its rounding, which no machine promises."""
    losses: list[float] = F.cross_entropy(real(example.rows), tensor(example.labels), reduction="none").tolist()
    return losses


def loss_of(example: Example) -> list[float]:
    """The losses by samebits.learning.scratch."""
    losses: list[float] = scratch.cross_entropy(OPS, real(example.rows), tensor(example.labels)).tolist()
    return losses


def with_loss() -> tuple[Example, ...]:
    """The printed examples that have a loss."""
    return (*printed.LOGITS, *printed.FROM_LOGITS, printed.THREE_WAYS)


def close(these: Iterable[float], those: Iterable[float], tolerance: float = CLOSE) -> bool:
    """Whether numbers agree in pairs."""
    return all(abs(a - b) <= tolerance for a, b in zip(these, those, strict=True))


def vector(values: Iterable[float]) -> str:
    """Write a vector as in the notes."""
    return f"[{', '.join(f'{value:g}' for value in values)}]"


def shape_of(sizes: Iterable[int]) -> str:
    """Write a shape."""
    return " \N{MULTIPLICATION SIGN} ".join(map(str, sizes))
