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

import threading
from functools import cache

import torch
from torch import Tensor

from .elementary import shift
from .grid import INTEGERS, MAGIC, Magic, integers, magic, peaks, snap, split

THIN = 32  # columns of a real operand for which its digits are worth cutting
Peak = float | Tensor | None


def product(
    a: Tensor, b: Tensor, a_peak: Peak = None, b_peak: Peak = None, terms: int | None = None,
    names: tuple[str, str] = ("the left operand", "the right operand"),
) -> Tensor:  # fmt: skip
    """Exact a @ b, float64; a is [..., m, k] and b [..., k, n], each float64 or an 8-bit integer type.

    The last two axes of each batch entry have a grid of their own. `a_peak` and `b_peak` are max|a| and max|b| where
    the caller knows them, numbers or [..., 1, 1]; [..., m, 1] gives each row of a, [..., 1, n] each column of b, a grid
    of its own. `terms` (k by default) is the length of the whole sum when this is a part of it.
    Raises Refused, NonFinite (CPU; elsewhere the result is NaN throughout).
    """
    bits = split(terms or a.shape[-1], a.dtype, b.dtype)
    tops = operand_peak(a, a_peak), operand_peak(b, b_peak)
    if a.device.type != "cpu":
        return scaled(a, b, bits, tops)
    grids = [None if top is None else magic(top, p, name) for top, p, name in zip(tops, bits, names, strict=True)]
    if any(grid is None and top is not None for grid, top in zip(grids, tops, strict=True)):
        return scaled(a, b, bits, tops)
    batch = a.shape[:-2]
    if batch != b.shape[:-2]:
        batch = torch.broadcast_shapes(batch, b.shape[:-2])
    if 0 in (*batch, *a.shape[-2:], b.shape[-1]):
        return torch.zeros(*batch, a.shape[-2], b.shape[-1], dtype=torch.float64, device=a.device)
    a, b = entries(a, batch), entries(b, batch)
    left, right = (entries(grid, batch) if isinstance(grid, Tensor) else grid for grid in grids)
    if a.dtype == torch.uint8 and b.shape[-1] <= THIN and right is not None and digits(bits[1]) and int8_is_exact():
        out = bytewise(b.mT, a.mT, bits[1], right.mT if isinstance(right, Tensor) else right).mT
    elif b.dtype == torch.uint8 and a.shape[-2] <= THIN and left is not None and digits(bits[0]) and int8_is_exact():
        out = bytewise(a, b, bits[0], left)
    else:
        out = plain(a, b, left, right)
    return out if len(batch) == 1 else out.reshape([*batch, *out.shape[-2:]])


def entries(x: Tensor, batch: torch.Size) -> Tensor:
    """x with its batch axes as one, [entries, m, k]."""
    if x.ndim == 3 and x.shape[:-2] == batch:
        return x
    return x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])


def operand_peak(x: Tensor, top: Peak) -> Tensor | None:
    """The maximum of each entry of a real operand, [..., 1, 1]; None for integers, whose grid is 2^0."""
    if x.dtype in INTEGERS:
        return None
    if top is None:
        return peaks(x, 2)
    if isinstance(top, Tensor) and top.ndim > 1:
        return top
    return torch.as_tensor(top, dtype=torch.float64, device=x.device).reshape(1, 1)


def plain(a: Tensor, b: Tensor, left: Magic | None, right: Magic | None) -> Tensor:
    """Float64 products of operands put onto their grids, one for each entry (torch.bmm is slower)."""
    a, b = on_grid(a, left, 0), on_grid(b, right, 1)
    out = torch.empty(a.shape[0], a.shape[1], b.shape[2], dtype=torch.float64, device=a.device)
    for z, x, y in zip(out.unbind(), a.unbind(), b.unbind(), strict=True):
        torch.mm(x, y, out=z)
    return out


def on_grid(x: Tensor, grid: Magic | None, slot: int) -> Tensor:
    """x on its grid, in memory that the next product overwrites."""
    if x.shape[0] > 1 and x.stride(0) == 0 and not isinstance(grid, Tensor):  # one matrix for every entry
        return on_grid(x[:1], grid, slot).expand(x.shape)
    if x.stride(-1) > x.stride(-2):
        return on_grid(x.mT, grid.mT if isinstance(grid, Tensor) else grid, slot).mT
    out = memory(slot, x.numel()).view(x.shape)
    return out.copy_(x) if grid is None else snap(x, grid, out)


class Memory(threading.local):
    """Kept between products, for each thread: a fresh large tensor costs several times the rounding into it."""

    slots: list[Tensor]

    def __init__(self) -> None:
        self.slots = [torch.empty(0, dtype=torch.float64, device="cpu")] * 2


MEMORY = Memory()


def memory(slot: int, size: int) -> Tensor:
    """Scratch memory, float64 [size]."""
    if MEMORY.slots[slot].numel() < size:
        with torch.inference_mode(False):  # it outlives that mode, which its tensors would not
            MEMORY.slots[slot] = torch.empty(size, dtype=torch.float64, device="cpu")
    return MEMORY.slots[slot][:size]


def scaled(
    a: Tensor, b: Tensor, bits: tuple[int, int], tops: tuple[Tensor | None, Tensor | None] | None = None
) -> Tensor:
    """Integers times powers of two: any device, any magnitude, batches of grids, nothing read back."""
    tops = tops or (operand_peak(a, None), operand_peak(b, None))
    factors, e, poison = [], torch.zeros((), dtype=torch.int64, device=a.device), None
    for x, p, top in zip((a, b), bits, tops, strict=True):
        if top is None:
            factors.append(x.double())
            continue
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


def bytewise(x: Tensor, pixels: Tensor, bits: int, grid: Magic) -> Tensor:
    """x @ pixels for x [s, n, k] real on its grids and pixels [s, k, m] uint8, through int8 products."""
    (s, n, k), m, count = x.shape, pixels.shape[-1], digits(bits)
    step = grid / MAGIC
    lifted = x + (grid + step * OFFSETS[count])
    cut = lifted.reshape(-1).view(torch.uint8).view(s, n * k, 8)[..., :count]
    cut = cut.mT.contiguous().bitwise_xor_(128).view(torch.int8)
    parts = torch.empty(s, count * n, m, dtype=torch.int32, device=x.device)
    shared = s > 1 and pixels.stride(0) == 0
    centred = pixels[:1].bitwise_xor(128).expand(pixels.shape) if shared else pixels.bitwise_xor(128)
    for part, left, right in zip(parts.unbind(), cut.unbind(), centred.view(torch.int8).unbind(), strict=True):
        int8(left.view(count * n, k), right, part)
    joined = (PLACES[:, :count] @ parts.double().view(s, count, n * m)).view(s, n, m)
    joined += snap(x, grid).div_(step).sum(-1, keepdim=True).mul_(128.0)  # the pixels were less 128
    return joined.mul_(step)


OFFSETS = [int("80" * count or "0", 16) for count in range(7)]  # make each byte of the significand its digit + 128
PLACES = torch.tensor([[2.0 ** (8 * i) for i in range(7)]], dtype=torch.float64, device="cpu")


def int8(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """left [m, k] @ right [k, n] of int8, written to out, int32 [m, n]."""
    if 1 in (*left.shape, right.shape[1]):  # torch up to 2.11 leaves `out` as it was for some strides of an axis of one
        return out.copy_(left.double() @ right.double())
    return torch._int_mm(left, right, out=out)


@cache
def int8_is_exact() -> bool:
    """Whether int8 products exist and are exact here: without VNNI, oneDNN's saturate 16-bit partial sums.

    Large entries, in a long shape and in short ones, with the right operand in either layout.
    """
    low = torch.full((64 * 64,), -128, dtype=torch.int8, device="cpu")
    mixed = torch.arange(64 * 64, device="cpu").mul(2654435761).bitwise_right_shift(7).to(torch.int8)
    shapes = [(64, 64, 64), *((m, k, n) for m in (1, 3) for k in (1, 2, 17) for n in (1, 2, 17))]
    try:
        return all(
            int8_multiplies(x[: m * k].view(m, k), right)
            for m, k, n in shapes
            for x in (low, mixed, ~low)
            for y in (low, mixed, ~low)
            for right in (y[: k * n].view(k, n), y[: k * n].view(n, k).T)
        )
    except (AttributeError, RuntimeError):
        return False


def int8_multiplies(x: Tensor, y: Tensor) -> bool:
    """Whether `int8` writes x @ y over what was there before: at that place a result that is not written shows."""
    junk = torch.full((x.shape[0], y.shape[1]), 0x5A5A5A5A, dtype=torch.int32, device=x.device)
    return torch.equal(int8(x, y, junk), (x.double() @ y.double()).int())
