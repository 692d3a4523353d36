"""Powers of two, and rounding onto a grid of them: the one place where exact arithmetic loses bits."""

import math

import torch
from torch import Tensor

from .elementary import shift
from .guard import NonFinite, Refused, ceil_log2, room

INTEGERS = (torch.uint8, torch.int8, torch.bool)  # operands taken as they are, as 8 bits
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
    each = room(terms, kinds)
    return (8 if kinds[0] == "i" else each, 8 if kinds[1] == "i" else each)


def peak(x: Tensor, what: str) -> float:
    """max|x| as a float, 0 for an empty x. Raises NonFinite. On a GPU this waits for the device."""
    if not x.numel():
        return 0.0
    x = x.detach()
    if x.ndim > 1 and not x.is_contiguous():
        x = x.mT  # the order is free, and torch is slow in the wrong one
    low, high = torch.aminmax(x)
    top = max(-low.item(), high.item())
    if not math.isfinite(top):
        raise NonFinite(what)
    return top


def peaks(x: Tensor, axes: int) -> Tensor:
    """max|x| over the last `axes` axes, kept as ones; a NaN stays a NaN, an infinity an infinity."""
    dims = tuple(range(-axes, 0))
    if 0 in x.shape[-axes:]:
        return x.new_zeros([*x.shape[:-axes], *(1 for _ in dims)])
    return x.detach().abs().amax(dims, keepdim=True)


def exponent(top: float, bits: int) -> int:
    """e of the grid 2^e for magnitudes up to `top`: 2^e is the smallest power of two >= top / 2^bits."""
    fraction, power = math.frexp(top)
    return power - (fraction == 0.5) - bits


def exponents(top: Tensor, bits: int) -> Tensor:
    """`exponent` of every entry of a tensor, int64."""
    fraction, power = torch.frexp(top)
    return power.long() - (fraction == 0.5).long() - bits


def snap(x: Tensor, bits: int, e: int) -> Tensor:
    """Round x, |x| <= 2^(bits + e), half to even onto multiples of 2^e; bits <= 51, TINY <= e <= HUGE.

    Adding 1.5 * 2^(52 + e) leaves exactly the multiples of 2^e in the significand; subtracting it is exact.
    """
    if bits > 51:
        return x.mul(2.0**-e).round_().mul_(2.0**e)
    magic = 1.5 * 2.0 ** (52 + e)
    return x.add(magic).sub_(magic)


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
