"""What operations are tried on: a million numbers of every kind, in every way that a tensor can lie in memory."""

import math
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samebits.exact.random import draws

MILLION = 1000 * 1000
TAILS = range(1, 131)  # lengths around which vectors end
SPECIAL = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.0, -1.0, 1.7976931348623157e308, math.inf, -math.inf]


def bits(count: int, tag: str) -> np.ndarray:
    """64 random bits each, int64."""
    return draws(count, 5, tag).view(np.int64)


def numbers(count: int, tag: str) -> np.ndarray:
    """Floats of every magnitude and either sign: random bits, less NaNs and infinities."""
    x = bits(count, tag)
    return np.where((x >> 52) & 2047 == 2047, x & ~(1 << 62), x).view(np.float64)


@cache
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """A million operands for + - * / and the like: of every magnitude, near each other, halfway between two floats."""
    n = MILLION // 5
    near = numbers(n, "near") * 1e-3
    after = near * (1.0 + (bits(n, "ulps") & 7) * 2.0**-52)
    one = 1.0 + (bits(n, "ties") & (2**52 - 1)) * 2.0**-52  # and half a unit of its last place: a tie of +
    half = np.where(bits(n, "sign") < 0, -1.0, 1.0) * 2.0**-53
    left = ((bits(n, "a") & (2**27 - 1)) | 2**26 | 1).astype(np.float64)  # odd, 27 bits each: 54 of *, a tie
    right = ((bits(n, "b") & (2**27 - 1)) | 2**26 | 1) * 2.0**-1074  # in every other place a denormal
    right[::2] *= 2.0**1000
    left[1::2] *= 2.0**-20
    halves = (bits(2000, "halves") >> 40) + 0.5  # ties of rounding to integers
    special = np.array(list(product(SPECIAL, SPECIAL))).T
    a = np.concatenate([special[0], halves, numbers(2 * n, "x"), near, one, left])[:MILLION]
    b = np.concatenate([special[1], halves, numbers(2 * n, "y"), after, half, right])[:MILLION]
    return a, b


def plain(x: Tensor) -> Tensor:
    """A copy."""
    return x.clone()


def strided(x: Tensor) -> Tensor:
    """Every other place, junk between."""
    return junk((len(x), 2), x)[:, 1].copy_(x)


def unaligned(x: Tensor) -> Tensor:
    """Begins in the middle of a vector."""
    return junk((len(x) + 1,), x)[1:].copy_(x)


def transposed(x: Tensor) -> Tensor:
    """As a matrix whose columns lie together."""
    rows = math.gcd(len(x), 1000)
    return junk((len(x) // rows, rows), x).T.copy_(x.view(rows, -1))


def junk(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory that holds what must not be there afterwards."""
    return torch.full(shape, 77, dtype=like.dtype, device=like.device)


def laid_out(*inputs: np.ndarray, device: str = "cpu") -> Iterator[tuple[list[Tensor], slice]]:
    """The inputs in each layout, in two layouts at once, and short pieces of them, with the piece's place."""
    tensors = [torch.from_numpy(x).to(device) for x in inputs]
    for layout in (plain, strided, unaligned, transposed):
        yield [layout(x) for x in tensors], slice(None)
    first, *others = tensors
    yield [transposed(first), *(x.clone().view(transposed(first).shape) for x in others)], slice(None)
    for n in TAILS:
        piece = slice(n * n, n * n + n)
        layout = (plain, strided, unaligned)[n % 3]
        yield [layout(x[piece]) for x in tensors], piece


def threads() -> Iterator[int]:
    """One thread, then several."""
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            yield count
    finally:
        torch.set_num_threads(before)


def same(x: Tensor, true: Any) -> bool:
    """Equal bit for bit, zeros by their sign; one NaN is as good as another."""
    x, y = x.cpu().reshape(-1), torch.as_tensor(np.asarray(true)).reshape(-1)
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    if not x.is_floating_point():
        return torch.equal(x, y)
    alike = x.view(torch.int64) == y.view(torch.int64)
    return bool((alike | (x.isnan() & y.isnan())).all())
