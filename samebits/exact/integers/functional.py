"""A linear layer on 8-bit integers, with torch's autograd; and its two gradients by themselves, for a hand."""

from typing import Any, cast

import torch
from torch import Tensor

from ..grid import INTEGERS
from ..guard import Refused
from ..operands import share
from . import passes
from .products import route


def worth(x: Tensor, levels: float) -> float:
    """`share` for integers; a real input has none, so 1."""
    return share(levels) if x.dtype in INTEGERS else 1.0


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, levels: float) -> Tensor:
    """`samebits.exact.linear` of a float32 weight."""
    return cast(Tensor, _Linear.apply(x, weight, bias, levels))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, levels: float) -> Tensor:
        ctx.each = passes.of(x.device, *x.shape[-2:], *weight.shape)
        z, ctx.seen = ctx.each.forward(x, weight, bias, worth(x, levels), route(x.device))
        return cast(Tensor, z)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        if torch.is_grad_enabled():
            raise Refused("exact gradients have no gradient of their own: create_graph is not supported")
        return (*ctx.each.backward(g, ctx.seen, ctx.needs_input_grad[:3]), None)


def weight_gradient(g: Tensor, x: Tensor, levels: float) -> Tensor:
    """`samebits.exact.weight_gradient` of a float32 g."""
    each = passes.of(g.device, *g.shape, *x.shape)
    return cast(Tensor, each.weight_gradient(g, x, worth(x, levels), route(g.device)))


def bias_gradient(g: Tensor) -> Tensor:
    """`samebits.exact.bias_gradient` of a float32 g."""
    return cast(Tensor, passes.of(g.device, *g.shape).bias_gradient(g))
