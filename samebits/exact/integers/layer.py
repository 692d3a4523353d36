"""A linear layer there and back in the passes of `plain`: what is multiplied with what, on any device."""

from typing import NamedTuple

from torch import Tensor

from ..grid import INTEGERS
from . import plain
from .plain import Inputs, Rows
from .products import Route

Learning = tuple[Tensor, Tensor, Tensor | None]  # a parameter, its gradient and its velocity
Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


class Seen(NamedTuple):
    """What the way back needs: the operands, what a level of the inputs is worth, and the route of their products."""

    x: Inputs
    w: Rows
    share: float
    multiply: Route


def inputs(x: Tensor, multiply: Route) -> Inputs:
    """x [..., n, k] as integers."""
    return plain.pixels(x, multiply.dtype) if x.dtype in INTEGERS else plain.inputs(x, multiply.dtype, "the input")


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, share: float, multiply: Route) -> tuple[Tensor, Seen]:
    """The logits of x [..., n, k], weight [..., m, k] and bias [..., m]."""
    X, W = inputs(x, multiply), plain.rows(weight, multiply.dtype, "the weight")
    return plain.affine(multiply(X.q, W.q.mT), X, W, share, bias), Seen(X, W, share, multiply)


def backward(g: Tensor, seen: Seen, wanted: tuple[bool, bool, bool]) -> Gradients:
    """The gradients for x, weight and bias, as far as they are wanted."""
    x, w, share, multiply = seen
    dx = dw = None
    if wanted[0]:
        h = plain.folded(g, w, multiply.dtype, "the gradient")
        dx = plain.input_gradient(multiply(h.q, w.q), h)
    if wanted[1]:
        dw = plain.weight_gradient(plain.columns(g, x, multiply.dtype, "the gradient"), x, share, multiply)
    return dx, dw, bias_gradient(g) if wanted[2] else None


def weight_gradient(g: Tensor, x: Tensor, share: float, multiply: Route) -> Tensor:
    """The gradient for the weight by itself."""
    X = inputs(x, multiply)
    return plain.weight_gradient(plain.columns(g, X, multiply.dtype, "the gradient"), X, share, multiply)


def bias_gradient(g: Tensor) -> Tensor:
    """The gradient for the bias by itself."""
    return plain.bias_gradient(g, "the gradient")
