"""A step of whole networks in `plain` passes, without autograd and without looking at a number: what a GPU captures."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..functional import softmax_terms
from . import plain
from .plain import Columns, Inputs, Rows
from .products import Route

FORWARD, BACKWARD = 2, 1


class Layer(NamedTuple):
    """Weights [s, m, k] and biases [s, m] of s networks, float32, and their velocities; all updated in place."""

    weight: Tensor
    bias: Tensor
    weight_velocity: Tensor
    bias_velocity: Tensor


class Rates(NamedTuple):
    """Learning rate, momentum and weight decay."""

    lr: float
    momentum: float
    decay: float


class Seen(NamedTuple):
    """Of a minibatch [s, n]: each row's sum of numerators and d[label], whether it was a hit; and [s, layers] whether a
    layer met a NaN or an infinity, FORWARD in its weights or inputs, BACKWARD in its gradient.
    """

    sums: Tensor
    gaps: Tensor
    hits: Tensor
    bad: Tensor


def step(
    layers: list[Layer], pixels: Tensor, labels: Tensor, count: Tensor, share: float, rates: Rates, multiply: Route
) -> Seen:
    """Learn from pixels [s, n, k] (uint8), whose levels are worth `share`, and labels [s, n]; `count` is n in float64.

    Every rounding is as in `functional`, `samebits.exact.cross_entropy` and `SGD`.
    """
    c = [share, *(1.0 for _ in layers[1:])]
    inputs, weights, on = [plain.pixels(pixels, multiply.dtype)], [], []
    for i, layer in enumerate(layers):
        weights.append(plain.rows(layer.weight, multiply.dtype, "the weight"))
        z = plain.affine(multiply(inputs[i].q, weights[i].q.mT), inputs[i], weights[i], c[i], layer.bias)
        if i + 1 < len(layers):
            on.append(z > 0)
            inputs.append(plain.inputs(z.clip(min=0), multiply.dtype, "the input"))
    sums, gaps, hits, g = loss_side(z, labels, count)
    bad = []
    for i in reversed(range(len(layers))):
        G = plain.columns(g, inputs[i], multiply.dtype, "the gradient")
        dw, db = plain.weight_gradient(G, inputs[i], c[i], multiply), plain.bias_gradient(g, "the gradient")
        bad.append(where_bad(weights[i], inputs[i], G))
        if i:
            h = plain.folded(g, weights[i], multiply.dtype, "the gradient")
            below = plain.input_gradient(multiply(h.q, weights[i].q), h)
            g = torch.where(on[i - 1], below, 0.0)
        update(layers[i].weight, layers[i].weight_velocity, dw, rates)
        update(layers[i].bias, layers[i].bias_velocity, db, rates)
    return Seen(sums, gaps, hits, torch.stack(bad[::-1], -1))


def loss_side(z: Tensor, labels: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of logits z [s, n, m] what is `Seen`, but for `bad`, and the mean loss's gradient."""
    d, e, s = softmax_terms(z.double())
    label = labels.unsqueeze(-1)
    p = e / s - one_hot(labels, z.shape[-1])
    g = (p / count).to(torch.float32)
    return s.squeeze(-1), d.gather(-1, label).squeeze(-1), z.argmax(-1) == labels, g


def where_bad(w: Rows, x: Inputs, g: Columns) -> Tensor:
    """FORWARD, BACKWARD or 0, int8 [s]: where a maximum is no number, `plain.steps` makes the step NaN."""
    forward, backward = torch.isfinite(w.step).all(-1), torch.isfinite(g.step).all(-1)
    if x.step is not None:
        forward = forward & torch.isfinite(x.step).all(-1)
    return torch.where(forward, torch.where(backward, 0, BACKWARD), FORWARD).to(torch.int8)


def update(w: Tensor, v: Tensor, g: Tensor, rates: Rates) -> None:
    """`samebits.exact.SGD`'s recursions, in place."""
    if rates.decay:
        g = g + w * rates.decay
    if rates.momentum:
        g = v.mul_(rates.momentum).add_(g)
    w.sub_(g * rates.lr)
