"""A convolution on 8-bit integers: patches and one product of integers, there and back, with torch's autograd.

Libraries' own convolutions may go through Winograd's or Fourier's transforms, whose sums are not the integers'. Here
the entries of all windows are laid side by side, [groups, a window's entries, samples and positions], and what is left
is `plain`'s arithmetic: a row is an output channel, a sample has the grid and the lift of all its entries.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ..grid import INTEGERS
from ..guard import Refused
from ..windows import Windows, added, padded, views
from . import plain
from .functional import worth
from .plain import Inputs, Rows
from .products import ROUTES, Route, route

FINE = 14  # bits on each side of zero of the weight gradient's left operand: with 7, training ends worse
SLICE = 8  # bits of its lower slice, -128 ... 127


class Seen(NamedTuple):
    """What the way back needs: patches [g, k, n l], the samples' grids and lifts in `x`, whose q is not kept, the
    weights q [g, m, k] and the grids [g m] of their channels, what a level is worth, and the route.
    """

    patches: Tensor
    x: Inputs
    w: Rows
    share: float
    multiply: Route
    windows: Windows


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows, groups: int, levels: float) -> Tensor:
    """[n, m, *out] of x [n, channels, rows, columns] and a float32 weight [m, channels / groups, rows, columns]."""
    return cast(Tensor, _Conv2d.apply(x, weight, bias, windows, groups, levels))


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows, groups: int, levels: float
    ) -> Tensor:
        multiply = route(x.device) if len(x) else ROUTES["cpu"][-1]  # of nothing int8 has no product
        z, ctx.seen = forward(x, weight, bias, windows, groups, worth(x, levels), multiply)
        ctx.shape = weight.shape
        return z

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise Refused("exact gradients have no gradient of their own: create_graph is not supported")
        dx = input_gradient(g, ctx.seen) if ctx.needs_input_grad[0] else None
        dw = weight_gradient(g, ctx.seen).view(ctx.shape) if ctx.needs_input_grad[1] else None
        db = bias_gradient(g) if ctx.needs_input_grad[2] else None
        return dx, dw, db, None, None, None


def forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows, groups: int, share: float, multiply: Route
) -> tuple[Tensor, Seen]:
    """The outputs, and what the way back needs."""
    n, m = len(x), len(weight)
    flat = x.flatten(1)
    X = plain.pixels(flat, multiply.dtype) if x.dtype in INTEGERS else plain.inputs(flat, multiply.dtype, "the input")
    W = plain.rows(weight.flatten(1), multiply.dtype, "the weight")
    w = Rows(W.q.view(groups, m // groups, -1), W.step, W.total.view(groups, -1))
    patches = laid_out(X.q.view(x.shape), X.lift, windows, groups)
    each = Inputs(patches, at_each(X.step, windows), at_each(X.lift, windows))
    scaled = Rows(w.q, W.step.view(groups, -1), w.total)
    z = plain.affine(multiply(w.q, patches).mT, each, scaled, share, None if bias is None else bias.view(groups, -1))
    out = z.mT.reshape(m, n, *windows.out).transpose(0, 1).contiguous()
    return out, Seen(patches, Inputs(X.q.new_zeros(0), X.step, X.lift), w, share, multiply, windows)


def laid_out(q: Tensor, lift: Tensor | int, windows: Windows, groups: int) -> Tensor:
    """Patches [g, k, n l] of q [n, channels, rows, columns]. A border of zeros is held less `lift` as all else is."""
    border = 0 - (lift if isinstance(lift, Tensor) else torch.tensor(lift, device=q.device)).view(-1, 1, 1)
    (n, channels), (rows, columns) = q.shape[:2], windows.out
    side_by_side = list(views(padded(q.transpose(0, 1), windows, border), windows))
    return torch.stack(side_by_side, 1).view(groups, channels // groups * windows.entries, n * rows * columns)


def at_each(per_sample: Any, windows: Windows) -> Any:
    """What a sample has, for each of its positions; None and numbers as they are."""
    if not isinstance(per_sample, Tensor):
        return per_sample
    return per_sample.unsqueeze(-1).expand(-1, windows.out[0] * windows.out[1]).reshape(-1)


def by_channel(g: Tensor) -> Tensor:
    """Rows [m, n l] of g [n, m, ...]."""
    return g.flatten(2).transpose(0, 1).flatten(1)


def bias_gradient(g: Tensor) -> Tensor:
    """The sum over samples and positions, each channel on a grid of 22 bits."""
    return plain.bias_gradient(by_channel(g).mT, "the gradient")


def slices(h: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """(q, both, step) of rows h [m, n]: q = 256 high + low, integers of 14 bits in float32 on a grid for each row, and
    [2, m, n] the slices high, -64 ... 64, and low, -128 ... 127.
    """
    step, inverse = plain.steps(top := plain.largest(h, -1), plain.exponents(top, FINE), "the gradient")
    q = (h * inverse.unsqueeze(-1)).round_()
    whole = q.to(torch.int32)
    high = (whole + (1 << (SLICE - 1))) >> SLICE
    return q, torch.stack([high, whole - (high << SLICE)]).to(dtype), step


def weight_gradient(g: Tensor, seen: Seen) -> Tensor:
    """float32(k) * (2^e c) [g, m, k] from k, the sums over samples and positions of q (x - lift), and of lift q.

    The two slices are summed by themselves and joined in float64, whose 53 bits no sum here fills.
    """
    patches, x, _, share, multiply, windows = seen
    h = by_channel(g if x.step is None else g * x.step.view(-1, 1, 1, 1))
    q, both, step = slices(h, multiply.dtype)
    groups, m, terms = len(patches), len(h) // len(patches), h.shape[-1]
    left = both.view(2, groups, m, terms).transpose(0, 1).reshape(groups, 2 * m, terms)
    high, low = multiply(left, patches.mT).double().view(groups, 2, m, patches.shape[1]).unbind(1)
    lifted = (q.double() * at_each(x.lift, windows)).sum(-1).view(groups, -1, 1)
    k = ((high * 2.0**SLICE + low) + lifted).to(torch.float32)
    result: Tensor = k.mul_((step * share).view(groups, -1, 1))
    return result


def input_gradient(g: Tensor, seen: Seen) -> Tensor:
    """The gradient for the layer below: h = g 2^e_w, each sample on a grid of 7 bits; the integer patches are added
    up where windows overlap, still as integers; float32(sum) 2^e.
    """
    _, _, w, _, multiply, windows = seen
    n = len(g)
    h = plain.rows((g * w.step.view(-1, 1, 1)).flatten(1), multiply.dtype, "the gradient")
    groups, m, k = w.q.shape
    positions = windows.out[0] * windows.out[1]
    q = h.q.view(n, groups, m, positions).transpose(0, 1).transpose(1, 2).reshape(groups, m, n * positions)
    sums = multiply(w.q.mT.contiguous(), q).to(multiply.holding(m * windows.entries))
    whole = added(sums.view(groups * k // windows.entries, windows.entries, n, *windows.out), windows)
    return whole.transpose(0, 1).to(torch.float32).contiguous() * h.step.view(-1, 1, 1, 1)
