"""A linear layer there and back through the compiled `kernels`, for tensors on a CPU: `layer`, bit for bit."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..grid import total_bits
from ..guard import NonFinite
from . import convolved, kernels, normalised
from .layer import Gradients, Learning
from .memory import Back, Inputs, Operands, Outputs, Pool, give
from .products import Route

Array = Any
F32 = torch.float32
CONVOLVED, NORMALISED = convolved, normalised  # the passes of other layers
OPERANDS, OUTPUTS, BACK = Pool(Operands), Pool(Outputs), Pool(Back)


class Seen:
    """What the way back needs; its memory is lent to others once nobody can ask for gradients any more."""

    def __init__(self, operands: Operands, x: tuple[Array, Array], share: Any, multiply: Route) -> None:
        self.operands, self.x, self.share, self.route = operands, x, share, multiply

    def __del__(self) -> None:
        give(self.operands)


def array(x: Tensor) -> Array:
    """x [n, k] or [..., n, k] as an array [s, n, k] without holes."""
    a = x.detach().contiguous().numpy()
    return a[None] if a.ndim == 2 else a.reshape(-1, *a.shape[-2:])


def check(bad: int, what: str, x: Tensor) -> None:
    """Raise what a kernel found."""
    if bad >= 0:
        raise NonFinite(what, **({"entry": bad} if x.ndim > 2 and len(x) > 1 else {}))


def inputs(x: Tensor, into: Inputs) -> tuple[Array, Array]:
    """Write x [..., n, k] as integers; returns their steps and lifts [s, n]."""
    if x.dtype == F32:
        check(kernels.inputs(array(x), into.array, into.step, into.lift), "the input", x)
        return into.step, into.lift
    if x.dtype == torch.int8:
        into.lift[:] = 0
        into.array[:] = array(x)
        return into.ones, into.lift
    kernels.pixels(array(x.to(torch.uint8)), into.array)
    return into.ones, into.lifts


def multiplied(operands: Iterable[tuple[Tensor, Tensor, Tensor]], multiply: Route) -> None:
    """Write the products of matrices."""
    for left, right, sums in operands:
        multiply.into(left, right, sums)


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, share: float, multiply: Route) -> tuple[Tensor, Seen]:
    """As `layer.forward`."""
    w = array(weight)
    (s, m, k), n = w.shape, x.shape[-2]
    here = OPERANDS.lend(s, n, k, m, multiply)
    seen = Seen(here, inputs(x, here.x), np.float32(share), multiply)
    check(kernels.rows(w, here.w.array, here.w.step, here.w.total), "the weight", weight)
    sums = OUTPUTS.lend(s, n, k, m, multiply)
    multiplied(zip(here.x.q, here.w.turned, sums.sums, strict=True), multiply)
    z = torch.empty(*x.shape[:-1], m, dtype=F32, device="cpu")  # a tensor of its own, which may be changed in place
    b = np.zeros((s, m), np.float32) if bias is None else bias.detach().contiguous().numpy().reshape(s, m)
    bad = kernels.affine(sums.array, here.w.total, here.w.step, seen.share, *seen.x, b, array(z))
    give(sums)
    check(bad, "the output", z)
    return z, seen


def backward(g: Tensor, seen: Seen, wanted: tuple[bool, bool, bool]) -> Gradients:
    """As `layer.backward`."""
    a, w = array(g), seen.operands.w
    (s, n, m), k = a.shape, w.array.shape[-1]
    back = BACK.lend(s, n, k, m, seen.route)
    bad = kernels.gradient(
        a, *seen.x, back.h, back.column, back.step, back.lifted, back.db, w.step, back.delta_array, back.delta_step,
        *wanted,
    )  # fmt: skip
    check(bad, "the gradient", g)
    dx = dw = db = None
    if wanted[0]:
        multiplied(zip(back.delta, w.q, back.sums, strict=True), seen.route)
        dx = torch.empty(*g.shape[:-1], k, dtype=F32, device="cpu")
        kernels.scaled(back.sums_array, back.zeros, back.delta_step, kernels.ONE, array(dx))
    if wanted[1]:
        dw = weights_gradient(
            torch.empty(*g.shape[:-2], m, k, dtype=F32, device="cpu"), seen.operands.x, back, seen.share, seen.route
        )
    if wanted[2]:
        db = torch.from_numpy(back.db).clone().view(*g.shape[:-2], m)
    give(back)
    return dx, dw, db


def weights_gradient(out: Tensor, x: Inputs, back: Back, share: Any, multiply: Route) -> Tensor:
    """As `plain.weight_gradient`, in blocks that are used up while a core's own cache holds them."""
    if back.turns:
        kernels.transposed(x.array, back.turned)
    whole = array(out)
    for i, right in enumerate(back.right or x.q):
        for left, (sums, block), part, lifted, step in zip(
            back.left[i], back.blocks, back.parts, back.part_lifted[i], back.part_step[i], strict=True
        ):
            multiply.into(left, right, sums)
            kernels.scaled(block, lifted, step, share, whole[i : i + 1, part])
    return out


def weight_gradient(g: Tensor, x: Tensor, share: float, multiply: Route) -> Tensor:
    """As `layer.weight_gradient`."""
    a = array(g)
    (s, n, m), k = a.shape, x.shape[-1]
    here, back = OPERANDS.lend(s, n, k, m, multiply), BACK.lend(s, n, k, m, multiply)
    step, lift = inputs(x, here.x)
    check(kernels.columns(a, step, lift, back.h, back.column, back.step, back.lifted), "the gradient", g)
    dw = weights_gradient(
        torch.empty(*g.shape[:-2], m, k, dtype=F32, device="cpu"), here.x, back, np.float32(share), multiply
    )
    give(here)
    give(back)
    return dw


def bias_gradient(g: Tensor) -> Tensor:
    """As `layer.bias_gradient`."""
    a = array(g)
    out = np.empty((a.shape[0], a.shape[2]), np.float32)
    check(kernels.bias_gradient(a, out), "the gradient", g)
    return torch.from_numpy(out).view(*g.shape[:-2], g.shape[-1])


def mean_loss(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean loss [...] of logits z [..., n, m], n > 2, and its gradient, like z."""
    a, y = array(z), labels.long().contiguous().numpy().reshape(-1, labels.shape[-1])
    g, means = torch.empty(z.shape, dtype=F32, device="cpu"), np.empty(len(a))
    sums, gaps, hits = np.empty(y.shape), np.empty(y.shape), np.empty(len(a), np.int64)
    check(kernels.loss_side(a, y, array(g), sums, gaps, hits), "the logits", z)
    kernels.mean_losses(sums, gaps, total_bits(y.shape[1]), means)
    return torch.from_numpy(means).view(z.shape[:-2]), g


def sgd(learning: list[Learning], lr: float, momentum: float, decay: float) -> None:
    """One step of `samebits.exact.SGD`, in place; tensors are contiguous, float32 and of one shape."""
    rates = np.float32(lr), np.float32(momentum), np.float32(decay)
    for w, g, v in learning:
        a = w.detach().numpy().reshape(-1)
        kernels.sgd(a, g.detach().numpy().reshape(-1), a if v is None else v.numpy().reshape(-1), *rates)
    torch.autograd.graph.increment_version([w for w, _, _ in learning])  # a graph that needs the old ones says so
