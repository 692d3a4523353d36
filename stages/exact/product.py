"""Exact matrix products: three routes, one result.

Every partial sum of a product on grids is an integer of magnitude <= 2^53 times a power of two, so the order of the
sum, its blocking, FMA and the machine cannot matter, and the route is chosen for speed alone:

* `plain`: both operands rounded onto their grids in place, one float64 product. Any matrices on a CPU.
* `bytewise`: a thin operand beside uint8 pixels, cut into balanced base-256 digits, one int8 product (VNNI).
* `scaled`: integers times powers of two, without reading anything back. A GPU; magnitudes near float64's limits.

Measured on one core with AVX512 (us): 256x784 pixels times ten columns, plain 275, bytewise 150; its transposed
gradient 205 and 140. A wide product (64x784x520) gains nothing: cutting the weights (450) and joining the digits (680)
cost as much as the float64 product, 1100.
"""

from functools import cache, lru_cache

import torch
from torch import Tensor

from .elementary import shift
from .grid import HUGE, INTEGERS, TINY, exponent, integers, peak, peaks, snap, split

THIN = 32  # columns of a real operand for which its digits are worth cutting
Peak = float | Tensor | None


def product(a: Tensor, b: Tensor, a_peak: Peak = None, b_peak: Peak = None, terms: int | None = None) -> Tensor:
    """Exact a @ b, float64; a is [..., m, k] and b [..., k, n], each float64 or an 8-bit integer type.

    The last two axes of each batch entry have a grid of their own. `a_peak` and `b_peak` are max|a| and max|b| where
    the caller knows them; `terms` (k by default) is the length of the whole sum when this is a part of it.
    Raises Refused, NonFinite (CPU; elsewhere the result is NaN throughout).
    """
    bits = split(terms or a.shape[-1], a.dtype, b.dtype)
    if a.device.type != "cpu":
        return scaled(a, b, bits, a_peak, b_peak)
    if a.ndim == b.ndim == 2:
        return flat(a, b, bits, a_peak, b_peak)
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = a.new_empty([*batch, a.shape[-2], b.shape[-1]], dtype=torch.float64)
    entries = (x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (a, b))
    tops = (
        x.expand(*batch, 1, 1).flatten() if isinstance(x, Tensor) and x.ndim else [x] * batch.numel()
        for x in (a_peak, b_peak)
    )
    for z, x, y, p, q in zip(out.view(-1, *out.shape[-2:]), *entries, *tops, strict=True):
        z.copy_(flat(x, y, bits, p, q))
    return out


def flat(a: Tensor, b: Tensor, bits: tuple[int, int], a_peak: Peak = None, b_peak: Peak = None) -> Tensor:
    """The product of two matrices on a CPU, by the fastest route that is exact for them."""
    a_top, a_grid = gauge(a, bits[0], a_peak, "the left operand")
    b_top, b_grid = gauge(b, bits[1], b_peak, "the right operand")
    if not (a_top and b_top and a.numel() and b.numel()):
        return a.new_zeros([a.shape[0], b.shape[1]], dtype=torch.float64)
    if not (TINY < a_grid < HUGE and TINY < b_grid < HUGE):
        return scaled(a, b, bits, a_top, b_top)
    if a.dtype == torch.uint8 and b.shape[1] <= THIN and digits(bits[1]) and trusted():
        return bytewise(b.T, a.T, bits[1], b_grid).T
    if b.dtype == torch.uint8 and a.shape[0] <= THIN and digits(bits[0]) and trusted():
        return bytewise(a, b, bits[0], a_grid)
    return plain(a, b, bits, (a_grid, b_grid))


def gauge(x: Tensor, bits: int, top: Peak, what: str) -> tuple[float, int]:
    """The maximum of an operand and the exponent of its grid; an integer one has 2^0."""
    if x.dtype in INTEGERS:
        return 1.0, 0
    top = peak(x, what) if top is None else float(top)
    return top, exponent(top, bits)


def plain(a: Tensor, b: Tensor, bits: tuple[int, int], grids: tuple[int, int]) -> Tensor:
    """One float64 product of operands snapped onto their grids."""
    a, b = (x.double() if x.dtype in INTEGERS else snap(x, p, e) for x, p, e in zip((a, b), bits, grids, strict=True))
    result: Tensor = a @ b
    return result


def scaled(a: Tensor, b: Tensor, bits: tuple[int, int], a_peak: Peak = None, b_peak: Peak = None) -> Tensor:
    """Integers times powers of two: any device, any magnitude, batches of grids, nothing read back."""
    factors, e, poison = [], torch.zeros((), dtype=torch.int64, device=a.device), None
    for x, p, top in zip((a, b), bits, (a_peak, b_peak), strict=True):
        if x.dtype in INTEGERS:
            factors.append(x.double())
            continue
        top = peaks(x, 2) if top is None else torch.as_tensor(top, dtype=torch.float64, device=x.device)
        q, e_x = integers(x, p, top)
        factors.append(q)
        e = e + e_x
        poison = top - top if poison is None else poison + (top - top)  # 0, or NaN for a NaN or an infinity
    out: Tensor = shift(factors[0] @ factors[1], e)
    return out if poison is None else out + poison


def digits(bits: int) -> int:
    """How many base-256 digits in -128 ... 127 hold integers up to 2^bits; 0 if joining them could leave 53 bits.

    The digits of n > bits / 8 hold 2^(8n - 2); any part of their sum stays below twice the whole's bound unless
    `bits` is a multiple of 8, and pixels less 128 have a bit to spare for that.
    """
    return bits // 8 + 1 if 1 <= bits % 8 <= 6 else 0


def bytewise(x: Tensor, pixels: Tensor, bits: int, e: int) -> Tensor:
    """x @ pixels for x [n, k] real on the grid 2^e and pixels [k, m] uint8, through one int8 product."""
    (n, k), count = x.shape, digits(bits)
    lifted = x.reshape(-1) + (1.5 * 2.0**52 + OFFSETS[count]) * 2.0**e
    cut = lifted.view(torch.uint8).view(-1, 8)[:, :count].T.contiguous().bitwise_xor_(128)
    parts = torch._int_mm(cut.view(torch.int8).view(count * n, k), pixels.bitwise_xor(128).view(torch.int8))
    joined: Tensor = (places(count, e) @ parts.double().view(count, -1)).view(n, -1)
    joined += snap(x, bits, e).sum(1, keepdim=True).mul_(128.0)  # the pixels were less 128
    return joined


OFFSETS = [int("80" * count or "0", 16) for count in range(7)]  # make each byte of the significand its digit + 128


@lru_cache(256)
def places(count: int, e: int) -> Tensor:
    """The places' values 256^i * 2^e, [1, count]."""
    return torch.tensor([[2.0 ** (8 * i + e) for i in range(count)]], dtype=torch.float64)


@cache
def trusted() -> bool:
    """Whether int8 products exist and are exact here: without VNNI, oneDNN's saturate 16-bit partial sums."""
    low = torch.full((64, 64), -128, dtype=torch.int8)
    mixed = torch.arange(64 * 64).mul(2654435761).bitwise_right_shift(7).to(torch.int8).view(64, 64)
    pairs = [(x, y) for x in (low, mixed, ~low) for y in (low, mixed, mixed.T, ~low)]
    try:
        return all(torch.equal(torch._int_mm(x, y), (x.double() @ y.double()).int()) for x, y in pairs)
    except (AttributeError, RuntimeError):
        return False
