"""Normalisation's passes over float32 numbers through the compiled `kernels`: those of `samebits.exact.normalization`,
bit for bit. Its rows are x[:, c] of x [a, m, l]; a number for each of them is [1, m, 1] there, and [m] here.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..grid import MAGIC, Magic
from . import kernels

Array = Any


def each(x: Tensor | Magic) -> Array:
    """[m] of a number for each row, in float64."""
    assert isinstance(x, Tensor)
    return x.detach().double().reshape(-1).numpy()


def grids(totals: list[Any], m: int) -> Array:
    """[.., m] of the grids of sums."""
    return np.array([each(t.grid) if isinstance(t.grid, Tensor) else np.full(m, t.grid) for t in totals])


def fill(totals: list[Any], steps: Array, grid: Array) -> None:
    """Take sums over, which are whole numbers of steps up to 2^53: their product with a power of two is exact."""
    for total, row in zip(totals, steps * (grid / MAGIC), strict=True):
        total.sum = torch.from_numpy(row).view(total.top.shape)


def deviations(x: Tensor, mean: Tensor, squared: bool, total: Any) -> None:
    """The sum of d = x - mean, or of d d."""
    grid, out = grids([total], x.shape[1]), np.zeros((1, x.shape[1]), np.int64)
    kernels.deviations(x.detach().numpy(), each(mean), squared, grid[0], out[0])
    fill([total], out, grid)


def normalise(x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, s: Tensor, out: Tensor) -> None:
    """((x - mean) / s) w + b; what is not there is 1, and -0.0, which changes no number, not even -0.0."""
    w = np.ones(x.shape[1]) if weight is None else each(weight)
    b = np.full(x.shape[1], -0.0) if bias is None else each(bias)
    kernels.normalise(x.detach().numpy(), each(mean), each(s), w, b, out.numpy())


def tops(g: Tensor, x: Tensor, mean: Tensor, s: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """max|g X| and max|h X|."""
    out = np.zeros((2, x.shape[1]))
    kernels.normal_tops(g.numpy(), x.numpy(), each(mean), each(s), each(w), out)
    first, second = torch.from_numpy(out).view(2, *mean.shape).unbind()
    return first, second


def sums(g: Tensor, x: Tensor, mean: Tensor, s: Tensor, w: Tensor, totals: list[Any]) -> None:
    """The sums of g X, g, h and h X."""
    grid, out = grids(totals, x.shape[1]), np.zeros((4, x.shape[1]), np.int64)
    kernels.normal_sums(g.numpy(), x.numpy(), each(mean), each(s), each(w), grid, out)
    fill(totals, out, grid)


def below(
    g: Tensor, x: Tensor, mean: Tensor, s: Tensor, w: Tensor, first: Tensor, second: Tensor, out: Tensor
) -> None:  # fmt: skip
    """((h - first) - X second) / s."""
    given = (each(t) for t in (mean, s, w, first, second))
    kernels.normal_below(g.numpy(), x.numpy(), *given, out.numpy())
