"""Powers of two, and rounding onto a grid of them: the one place where exact arithmetic loses bits."""

import math

import numpy as np
import torch
from torch import Tensor

from .elementary import power, shift
from .guard import NonFinite, Refused, ceil_log2, product_bits

Magic = float | Tensor
INTEGERS = (torch.uint8, torch.int8, torch.bool)  # operands taken as they are, as 8 bits
MAGIC = 1.5 * 2.0**52
FEW = 16
TINY, HUGE = -500, 400  # grid exponents between which no step below can leave float64's normal range


def kind(dtype: torch.dtype, name: str) -> str:
    """'r' of float64, 'i' of an 8-bit integer; anything else is a TypeError."""
    if dtype != torch.float64 and dtype not in INTEGERS:
        raise TypeError(f"{name} is {dtype}: exact arithmetic takes float64, or uint8, int8 and bool as they are")
    return "i" if dtype in INTEGERS else "r"


def split(terms: int, a: torch.dtype, b: torch.dtype) -> tuple[int, int]:
    """Bits (pa, pb) of the operands of a sum of `terms` products, pa + pb + ceil(log2 terms) <= 53.

    An 8-bit integer operand takes 8. Two real ones share the rest evenly (rounded down, so that transposing a
    product changes no bit); a real one beside an integer one takes all the rest.
    """
    kinds = kind(a, "the left operand") + kind(b, "the right operand")
    each = product_bits(terms, kinds)
    return (8 if kinds[0] == "i" else each, 8 if kinds[1] == "i" else each)


def peaks(x: Tensor, axes: int) -> Tensor:
    """max|x| over the last `axes` axes, kept as ones; a NaN stays a NaN, an infinity an infinity."""
    dims = tuple(range(-axes, 0))
    x = x.detach()
    if 0 in x.shape[-axes:]:
        return x.new_zeros([*x.shape[:-axes], *(1 for _ in dims)])
    if axes > 1 and x.stride(-1) > x.stride(-2):
        x = x.mT  # the order is free, and torch is slow in the wrong one
    return torch.maximum(x.amax(dims, keepdim=True), x.amin(dims, keepdim=True).neg_())


def exponents(top: Tensor, bits: int) -> Tensor:
    """e of the grid 2^e for magnitudes up to `top`, int64: 2^e is the smallest power of two >= top / 2^bits."""
    fraction, power = torch.frexp(top)
    return power.long().sub_((fraction == 0.5).long()).sub_(bits)


def magic(top: Tensor, bits: int, what: str) -> Magic | None:
    """1.5 * 2^(52 + e) for the grids 2^e of peaks on a CPU, one number where all are the same; bits <= 51.

    None where an e is so extreme that a step on its grid could leave float64's normal range. Raises NonFinite, with
    the batch entry where there is more than one. Peaks are few: Python's and numpy's calls cost less than torch's.
    """
    tops = top.numpy()
    if not math.isfinite(tops.item() if tops.size == 1 else tops.max(initial=0.0)):
        entry = int((~np.isfinite(tops)).nonzero()[0][0])
        raise NonFinite(what, **({"entry": entry} if tops.ndim > 2 and len(tops) > 1 else {}))
    if tops.size <= FEW:
        grids = [exponent(value, bits) for value in tops.ravel().tolist()]
        if not all(TINY < e < HUGE for e in grids):
            return None
        magics = [MAGIC * 2.0**e for e in grids]
        return (
            magics[0]
            if len(set(grids)) == 1
            else torch.tensor(magics, dtype=torch.float64, device="cpu").view(top.shape)
        )
    fractions, n = np.frexp(tops)
    n -= bits
    n -= fractions == 0.5
    return None if n.min() <= TINY or n.max() >= HUGE else torch.from_numpy(power(n) * MAGIC)


def exponent(top: float, bits: int) -> int:
    """`exponents` of one peak."""
    fraction, n = math.frexp(top)
    return n - (fraction == 0.5) - bits


def snap(x: Tensor, magic: Magic, out: Tensor | None = None) -> Tensor:
    """Round x half to even onto its grid: adding 1.5 * 2^(52 + e) leaves exactly the multiples of 2^e in the
    significand, where |x| <= 2^(51 + e); subtracting it is exact. A `magic` tensor broadcasts over x.
    """
    return torch.add(x, magic, out=out).sub_(magic)


def integers(x: Tensor, bits: int, top: Tensor) -> tuple[Tensor, Tensor]:
    """(Q, e) with Q = x / 2^e rounded half to even, |Q| <= 2^bits, for any magnitude and a batch of grids."""
    e = exponents(top, bits)
    return torch.round(shift(x, -e)), e


def total_bits(count: int) -> int:
    """Bits of each term of an exact sum of `count` terms."""
    bits = 53 - ceil_log2(count)
    if bits < 16:
        raise Refused(f"a sum of {count} terms leaves 53 - {ceil_log2(count)} = {bits} bits; at least 16 are needed")
    return bits
