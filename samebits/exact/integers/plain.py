"""The passes over tensors as plain torch operations, on any device; every rounding of the arithmetic is here.

Float32 throughout, and integers in whatever type a product takes. A grid is written as its step, a power of two in
float32, and `q` are a tensor's integers on it. Leading axes are batches (seeds): nothing is shared between them.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..guard import NonFinite
from .products import Route

LEAST = -100  # the exponent of the finest grid
WEIGHT, DELTA, SIGNED, UNSIGNED, BIAS = 7, 7, 7, 8, 22  # bits on each side of zero
LIFT = 128  # taken off integers 0 ... 255, so that they fit into int8; its share of a sum is added back


class Rows(NamedTuple):
    """Rows of integers q [..., n, k], each on a grid of its own, step [..., n]; `total` [..., n] is the row's sum."""

    q: Tensor
    step: Tensor
    total: Tensor


class Inputs(NamedTuple):
    """A layer's inputs: integers q [..., n, k], less `lift` (0 or 128) of each sample, on grids step [..., n].

    `step` is None for pixels, whose grid is 1, and `lift` the number where it is the same for all.
    """

    q: Tensor
    step: Tensor | None
    lift: Tensor | int


class Columns(NamedTuple):
    """A gradient's integers q [..., n, m], each column on a grid of its own, step [..., m].

    `lifted` [..., m] is what the inputs' lift took off the column's products: the sum of q times it.
    """

    q: Tensor
    step: Tensor
    lifted: Tensor


def exponents(top: Tensor, bits: int) -> Tensor:
    """The least e >= -100 for which top / 2^e rounds, half to even, below 2^bits; int32 like top, float32 >= 0.

    With top = m 2^n and 1 <= m < 2 that is n + 1 - bits, or one more where m >= 2 - 2^-bits: such an m carries into
    the exponent when 2^(23 - bits) is added to the number's own bits.
    """
    return ((top.view(torch.int32) + (1 << (23 - bits))) >> 23).sub_(126 + bits).clip(min=LEAST)


def power(e: Tensor) -> Tensor:
    """2^e in float32, of int32 e from -126 to 127, built from its bits."""
    return ((e + 127) << 23).view(torch.float32)


def steps(top: Tensor, e: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """(2^e, 2^-e) for tops and their exponents. A NaN or an infinity among the tops is an error on a CPU; elsewhere,
    where looking would be a wait, its step is NaN, and so is whatever is made of it.
    """
    if top.device.type == "cpu":
        if top.numel() and not top.max().item() < torch.inf:
            raise non_finite(top, what)
        return power(e), power(-e)
    return power(e) + (top - top), power(-e)


def non_finite(top: Tensor, what: str) -> NonFinite:
    """The error, with the batch entry where there is more than one."""
    entries = (~torch.isfinite(top)).nonzero()[0].tolist()
    return NonFinite(what, **({"entry": entries[0]} if top.ndim > 1 and len(top) > 1 else {}))


def largest(x: Tensor, dim: int) -> Tensor:
    """max|x| over one axis; a NaN stays a NaN. (torch takes twice as long for x.abs(), a fresh large tensor.)"""
    if not x.shape[dim]:
        return x.new_zeros(x.sum(dim).shape)
    return torch.maximum(x.amax(dim), x.amin(dim).neg_())


def total(q: Tensor, dim: int) -> Tensor:
    """The sum of integers up to 127 over one axis, held in floats: float32 up to 2^17 of them."""
    return q.sum(dim) if q.shape[dim] <= 2**17 else q.double().sum(dim)


def rows(x: Tensor, dtype: torch.dtype, what: str) -> Rows:
    """Each row of x [..., n, k] on a grid of 7 bits."""
    top = largest(x, -1)
    step, inverse = steps(top, exponents(top, WEIGHT), what)
    q = (x * inverse.unsqueeze(-1)).round_()
    return Rows(q.to(dtype), step, total(q, -1))


def pixels(x: Tensor, dtype: torch.dtype) -> Inputs:
    """Integers x [..., n, k], uint8, int8 or bool, as they are, in memory of their own: x may change before a gradient
    is asked for, and may be laid out as int8 products do not take it.
    """
    if x.dtype == torch.int8:
        return Inputs(x.to(dtype, copy=True).contiguous(), None, 0)
    return Inputs(x.to(torch.uint8).bitwise_xor(LIFT).view(torch.int8).to(dtype), None, LIFT)


def inputs(x: Tensor, dtype: torch.dtype, what: str) -> Inputs:
    """Real x [..., n, k]: a sample without an entry below 0 on a grid of 8 bits, 0 to 255; another on one of 7."""
    top = largest(x, -1)
    signed = x.amin(-1) < 0
    step, inverse = steps(top, torch.where(signed, exponents(top, SIGNED), exponents(top, UNSIGNED)), what)
    lift = torch.where(signed, 0.0, float(LIFT)).to(torch.float32)
    q = (x * inverse.unsqueeze(-1)).round_().sub_(lift.unsqueeze(-1))
    return Inputs(q.to(dtype), step, lift)


def affine(sums: Tensor, x: Inputs, w: Rows, share: float, bias: Tensor | None) -> Tensor:
    """Logits z = float32(sum) * ((2^e_w c) 2^e_x) + b from sums [..., n, out]; c is `share`."""
    lift = x.lift.unsqueeze(-1) if isinstance(x.lift, Tensor) else x.lift
    z = (sums + (w.total.unsqueeze(-2) * lift).to(sums.dtype)).to(torch.float32)
    scale = (w.step * share).unsqueeze(-2)
    z.mul_(scale if x.step is None else scale * x.step.unsqueeze(-1))
    return numbers(z if bias is None else z.add_(bias.unsqueeze(-2)))


def numbers(z: Tensor) -> Tensor:
    """z [..., n, out], once all of it is known to be numbers: ReLU would hide -inf. Elsewhere than on a CPU, where
    looking would be a wait, an infinity becomes a NaN, which ReLU does not hide.
    """
    if z.device.type != "cpu":
        return z.add_(z - z)
    if z.numel() and not -torch.inf < z.amin().item() <= z.amax().item() < torch.inf:
        raise non_finite(z.abs().amax(-1), "the output")
    return z


def columns(g: Tensor, x: Inputs, dtype: torch.dtype, what: str) -> Columns:
    """The weight gradient's left operand: h = g 2^e_x, each unit (column) on a grid of 7 bits over the minibatch."""
    h = g if x.step is None else g * x.step.unsqueeze(-1)
    top = largest(h, -2)
    step, inverse = steps(top, exponents(top, DELTA), what)
    q = (h * inverse.unsqueeze(-2)).round_()
    lifted = q if isinstance(x.lift, int) else q * x.lift.unsqueeze(-1)
    return Columns(q.to(dtype), step, total(lifted, -2) * (x.lift if isinstance(x.lift, int) else 1))


def weight_gradient(g: Columns, x: Inputs, share: float, multiply: Route) -> Tensor:
    """float32(k) * (2^e c) from k, the sums of g.q x.q over the samples, with what `lift` took off added back."""
    sums = multiply(g.q.mT, x.q)
    k = (sums + g.lifted.unsqueeze(-1).to(sums.dtype)).to(torch.float32)
    return k.mul_((g.step * share).unsqueeze(-1))


def bias_gradient(g: Tensor, what: str) -> Tensor:
    """The sum of g [..., n, m] over n, each unit on a grid of 22 bits: float32(sum) 2^e."""
    top = largest(g, -2)
    step, inverse = steps(top, exponents(top, BIAS), what)
    return (g * inverse.unsqueeze(-2)).round_().double().sum(-2).to(torch.float32).mul_(step)


def folded(g: Tensor, w: Rows, dtype: torch.dtype, what: str) -> Rows:
    """The left operand of the gradient for the layer below: h = g 2^e_w, each sample on a grid of 7 bits."""
    return rows(g * w.step.unsqueeze(-2), dtype, what)


def input_gradient(sums: Tensor, h: Rows) -> Tensor:
    """float32(sum) 2^e from sums [..., n, k]."""
    return sums.to(torch.float32) * h.step.unsqueeze(-1)
