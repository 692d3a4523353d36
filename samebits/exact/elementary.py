"""exp2 and log from single float64 operations: correctly rounded one by one, so the same wherever they run."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

SMALL = 2**15  # entries up to which numpy's calls, which cost a third of torch's, matter more than its one thread

LOG2E = float.fromhex("0x1.71547652b82fep+0")
LN2_HIGH = float.fromhex("0x1.62e42fefa3800p-1")  # 42 bits: its product with an exponent is exact
LN2_LOW = float.fromhex("0x1.ef35793c76730p-45")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")

# 2^f on [-1/2, 1/2] from degree 0, relative error 2^-38.8.
EXP2 = tuple(map(float.fromhex, (
    "0x1.0000000000000p+0", "0x1.62e42fef9cc69p-1", "0x1.ebfbdff82a734p-3",
    "0x1.c6b08da70cce3p-5", "0x1.3b2ab70ad2565p-7", "0x1.5d877598350dep-10",
    "0x1.4308c7183d6a2p-13", "0x1.00c0e4e15189cp-16", "0x1.63b2d7971923fp-20",
)))  # fmt: skip
# (2 artanh(s) - 2s) / s^3 in powers of s^2, |s| <= 3 - 2 sqrt 2, interpolated at Chebyshev's points;
# relative error 2^-57.6 of the logarithm.
LOG = tuple(map(float.fromhex, (
    "0x1.5555555555558p-1", "0x1.99999999952e2p-2", "0x1.2492492df148dp-2", "0x1.c71c62e5800a1p-3",
    "0x1.7462b4ab2ef6bp-3", "0x1.39fe606542ddep-3", "0x1.2b584aae78a57p-3",
)))  # fmt: skip

Array = Any  # a torch tensor or a numpy array: the functions below are written for both


def numpy_if_small(f: Callable[[Array], Array]) -> Callable[[Tensor], Tensor]:
    """Run f on a numpy view of a small CPU tensor, else on the tensor: the same operations, so the same bits."""

    @wraps(f)
    def chosen(x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not 0 < x.numel() <= SMALL or not x.ndim:
            result: Tensor = f(x)
            return result
        with np.errstate(all="ignore"):
            return torch.from_numpy(f(x.detach().numpy()))

    return chosen


def horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    """The polynomial with these coefficients (from degree 0): single multiplications and additions in turn."""
    y = x * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        y += c
        y *= x
    y += coefficients[0]
    return y


def power(n: Array) -> Array:
    """2^n of integral n in -1022 ... 1023 (any type), built from its bits."""
    if isinstance(n, Tensor):
        return ((n.long() + 1023) << 52).view(torch.float64)
    return ((n.astype(np.int64) + 1023) << 52).view(np.float64)


def shift(x: Array, n: Array) -> Array:
    """x * 2^n for integral n, rounded once (twice only where |x| is far below the half that rounds to zero)."""
    first = n.clip(-900, 900)
    return x * power(first) * power((n - first).clip(-1000, 1000))


def real(x: Array) -> Array:
    """As float64; torch would make its default, float32, of an integer times a number."""
    return x.double() if isinstance(x, Tensor) else x.astype(np.float64)


@numpy_if_small
def exp2(t: Array) -> Array:
    """2^t: n = round(t), f = t - n, the polynomial of f times 2^n. Relative error below 2^-38; NaN stays NaN."""
    t = t.clip(-1100.0, 1100.0)
    n = t.round()
    return shift(horner(t - n, EXP2), n)


@numpy_if_small
def softmax_numerators(d: Array) -> Array:
    """Integers round(2^40 e^d) of d <= 0, from 0 to 2^40: softmax's numerators, whose sum is exact.

    t = d * log2(e) clamped at -64; n = round(t), f = t - n; e = round(2^f * 2^(n + 40)).
    """
    t = d * LOG2E
    t = t.clip(-64.0, 0.0)
    n = t.round()
    t -= n
    y = horner(t, EXP2)
    n += 40.0
    y *= power(n)
    return y.round()


@numpy_if_small
def log(x: Array) -> Array:
    """Natural logarithm of float64 x: -inf at 0, NaN below it. Within 2 ulp.

    x = m 2^k with sqrt(1/2) <= m < sqrt 2 and s = (m - 1) / (m + 1); log m = 2s + s z P(z), z = s^2;
    log x = k LN2_HIGH + (k LN2_LOW + log m).
    """
    library: Any = torch if isinstance(x, Tensor) else np
    m, k = library.frexp(x)
    small = m < SQRT_HALF
    m = library.where(small, m + m, m)
    k = real(k) - real(small)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    y = k * LN2_HIGH + (k * LN2_LOW + ((s + s) + (s * z) * horner(z, LOG)))
    y = library.where(x > 0, y, library.where(x == 0, -torch.inf, torch.nan))
    return library.where(x == torch.inf, x, y)
