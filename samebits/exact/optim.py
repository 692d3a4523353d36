"""Stochastic gradient descent as a fixed sequence of single roundings."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .integers import passes
from .operands import REAL
from .optimizer import Gradients, Group, Optimizer, require_numbers, rounded


class SGD(Optimizer):
    """torch.optim.SGD's recursions, one rounded operation at a time, for parameters w with gradient g.

        g <- -g                                        to maximize
        g <- g + w * weight_decay                      where weight_decay is not 0: product, sum
        v <- v * momentum + g * (1 - dampening)        where momentum is not 0: two products, sum
        g <- v; with nesterov g <- g + v * momentum    where momentum is not 0: product, sum
        w <- w - g * lr                                product, difference

    v is 0 before the first step, which takes g undampened. For float32 parameters lr, momentum, dampening and
    weight_decay are rounded to float32 first; 1 - dampening is a float64 difference, rounded to the parameter's type.
    They may be changed between steps, in `param_groups`, and torch's schedules do. Torch's foreach, fused and
    differentiable are no arguments: there is one way here.

    Args:
        params: tensors to learn, float64 or float32, or named ones; or groups of them with rates of their own, each a
            dictionary with "params".
        lr: learning rate.
        momentum: share of the velocity that is kept.
        dampening: share of the gradient that does not reach the velocity.
        weight_decay: share of a weight that is added to its gradient.
        nesterov: whether a step looks ahead, along the velocity.
        maximize: whether to climb.

    Raises:
        ValueError: for an lr, momentum or weight_decay that is negative or no finite number, for nesterov without
            momentum or with dampening, for no tensors, one that is named twice, or one that is computed from others.
        TypeError: for anything but tensors of these types.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        >>> optimizer = exact.SGD([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.item()
        0.0
    """

    buffers = ("momentum_buffer",)
    scratch: Tensor | None = None

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0, *, dampening: float = 0.0,
        weight_decay: float = 0.0, nesterov: bool = False, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        })  # fmt: skip

    def _require_rates(self, group: Group) -> None:
        """Raise ValueError for rates that are none."""
        require_numbers(group, "lr", "momentum", "weight_decay")
        if not -torch.inf < group["dampening"] < torch.inf:
            raise ValueError(f"dampening is {group['dampening']}, but must be a number")
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("nesterov needs a momentum above 0 and no dampening")

    def _update(self, group: Group, learning: Gradients) -> None:
        """Change parameters and velocities: by a compiled pass where there is one for these rates."""
        if group["nesterov"] or group["dampening"]:
            for i, w, g in learning:
                self._damped(group, i, w, g)
            return
        moving = [(w, g, self.buffer(*self.buffers, i, w) if group["momentum"] else None) for i, w, g in learning]
        for w, g, v in passes.sgd(moving, *_rates(group, REAL[0])):
            lr, momentum, decay = _rates(group, w.dtype)
            if decay:
                g = g + w * decay
            if v is not None and momentum:
                g = v.mul_(momentum).add_(g)
            self._move(w, g, lr)

    def _damped(self, group: Group, i: int, w: Tensor, g: Tensor) -> None:
        lr, momentum, decay = _rates(group, w.dtype)
        if decay:
            g = g + w * decay
        if momentum:
            first = self.state[w].get(*self.buffers) is None
            share = 1.0 if first else rounded(1.0 - rounded(float(group["dampening"]), w.dtype), w.dtype)
            v = self.buffer(*self.buffers, i, w).mul_(momentum).add_(g * share)
            g = g + v * momentum if group["nesterov"] else v
        self._move(w, g, lr)

    def _move(self, w: Tensor, g: Tensor, lr: float) -> None:
        """Take the step from memory that is kept, since a fresh large tensor costs more than the product."""
        if (
            self.scratch is None
            or self.scratch.numel() < w.numel()
            or (self.scratch.dtype, self.scratch.device) != (w.dtype, w.device)
        ):
            self.scratch = torch.empty(w.numel(), dtype=w.dtype, device=w.device)
        w.sub_(torch.mul(g, lr, out=self.scratch[: w.numel()].view(w.shape)))


def _rates(group: Group, dtype: torch.dtype) -> tuple[float, float, float]:
    lr, momentum, decay = (rounded(float(group[name]), dtype) for name in ("lr", "momentum", "weight_decay"))
    return lr, momentum, decay
