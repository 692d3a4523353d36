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
from ..parts import parts
from ..windows import Windows, added, padded, views
from . import passes, plain
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
    if (compiled := kernels(x.device, n, w.q.shape[-1])) is not None:
        out = torch.empty(n, m, *windows.out, dtype=torch.float32, device=x.device)
        compiled.affine(multiply(w.q, patches), X.step, X.lift, W, share, bias, out)
        return out, Seen(patches, Inputs(X.q.new_zeros(0), X.step, X.lift), w, share, multiply, windows)
    each = Inputs(patches, at_each(X.step, windows), at_each(X.lift, windows))
    scaled = Rows(w.q, W.step.view(groups, -1), w.total)
    z = plain.affine(multiply(w.q, patches).mT, each, scaled, share, None if bias is None else bias.view(groups, -1))
    out = z.mT.reshape(m, n, *windows.out).transpose(0, 1).contiguous()
    return out, Seen(patches, Inputs(X.q.new_zeros(0), X.step, X.lift), w, share, multiply, windows)


def kernels(device: torch.device, *sizes: int) -> Any:
    """The compiled passes, where `prepare` has asked for them and they fit; else None."""
    fast = passes.compiled(device, *sizes)
    return None if fast is None else fast.CONVOLVED


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


def bias_gradient(g: Tensor) -> Tensor:
    """The sum over samples and positions, each channel on a grid of 22 bits."""
    g = g.flatten(2)
    top = plain.largest(plain.largest(g, -1), 0)
    step, inverse = plain.steps(top, plain.exponents(top, plain.BIAS), "the gradient")
    total = torch.zeros(top.shape, dtype=torch.float64, device=g.device)
    for (part,) in parts(g):
        total.add_((part * inverse.unsqueeze(-1)).round_().double().sum((0, 2)))
    return total.to(torch.float32).mul_(step)


def slices(q: Tensor) -> tuple[Tensor, Tensor]:
    """(high, low) of integers q = 256 high + low of 14 bits: high is -64 ... 64, and low -128 ... 127."""
    whole = q.to(torch.int32)
    high = (whole + (1 << (SLICE - 1))) >> SLICE
    return high, whole - (high << SLICE)


def weight_gradient(g: Tensor, seen: Seen) -> Tensor:
    """float32(k) * (2^e c) [g, m, k] from k, the sums over samples and positions of q (x - lift), and of lift q.

    The two slices are summed by themselves and joined in float64, whose 53 bits no sum here fills.
    """
    patches, x, _, share, multiply, _ = seen
    g, groups = g.flatten(2), len(patches)
    n, channels, positions = g.shape
    scale = torch.ones(n, device=g.device) if x.step is None else x.step
    lift = x.lift if isinstance(x.lift, Tensor) else torch.full((n,), x.lift, device=g.device)
    # Each channel's grid is that of h = g 2^e_x, whose maximum is one of its samples' maxima: rounding keeps an order.
    top = plain.largest(plain.largest(g, -1) * scale.unsqueeze(-1), 0)
    step, inverse = plain.steps(top, plain.exponents(top, FINE), "the gradient")
    both = torch.empty(2, channels, n, positions, dtype=multiply.dtype, device=g.device)
    compiled = kernels(g.device, *g.shape)
    lifted = torch.zeros(channels, dtype=torch.float64, device=g.device)
    if compiled is not None:
        lifted = compiled.slices(g, scale, inverse, lift, both)
    for part, factor, up, place in () if compiled is not None else parts(g, scale, lift, both.transpose(0, 2)):
        q = (part * factor.view(-1, 1, 1)).mul_(inverse.unsqueeze(-1)).round_()
        for i, each in enumerate(slices(q)):
            place[:, :, i].copy_(each)
        lifted.add_((q.double().sum(-1) * up.double().unsqueeze(-1)).sum(0))
    left = both.view(2, groups, channels // groups, n * positions).transpose(0, 1).flatten(1, 2)
    high, low = multiply(left, patches.mT).double().view(groups, 2, -1, patches.shape[1]).unbind(1)
    k = ((high * 2.0**SLICE + low) + lifted.view(groups, -1, 1)).to(torch.float32)
    result: Tensor = k.mul_((step * share).view(groups, -1, 1))
    return result


def input_gradient(g: Tensor, seen: Seen) -> Tensor:
    """The gradient for the layer below: h = g 2^e_w, each sample on a grid of 7 bits; the integer patches are added
    up where windows overlap, still as integers; float32(sum) 2^e.
    """
    _, _, w, _, multiply, windows = seen
    groups, m, k = w.q.shape
    turned, positions = w.q.mT.contiguous(), windows.out[0] * windows.out[1]
    channels = groups * k // windows.entries
    compiled = kernels(g.device)
    add = added if compiled is None else compiled.added
    below = torch.empty(len(g), channels, *windows.picture, dtype=torch.float32, device=g.device)
    for part, place in parts(g, below):
        h, n = plain.rows((part * w.step.view(-1, 1, 1)).flatten(1), multiply.dtype, "the gradient"), len(part)
        q = h.q.view(n, groups, m, positions).transpose(0, 1).transpose(1, 2).reshape(groups, m, n * positions)
        sums = multiply(turned, q).to(multiply.holding(m * windows.entries))
        whole = add(sums.view(channels, windows.entries, n, *windows.out), windows)
        place.copy_(whole.transpose(0, 1)).mul_(h.step.view(-1, 1, 1, 1))
    return below
