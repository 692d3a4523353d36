"""Adam and AdamW as a fixed sequence of single roundings."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .optimizer import Gradients, Group, Optimizer, require_numbers, rounded
from .random import root


class Adam(Optimizer):
    """torch.optim.Adam's recursions, one rounded operation at a time, for parameters w with gradient g, at step t.

        g <- -g                                        to maximize
        g <- g + w * weight_decay                      where that is not 0: product, sum
        m <- m * beta1 + g * (1 - beta1)               two products, sum
        v <- v * beta2 + (g * g) * (1 - beta2)         three products, sum
        u <- v; with amsgrad the largest v so far
        u <- sqrt(u) * (1 / r) + eps                   root, product, sum
        w <- w - (m / u) * s                           quotient, product, difference

    with s = lr / (1 - beta1^t) and r = sqrt(1 - beta2^t). Decoupled weight decay, AdamW's, is in place of the second
    line w <- w - w * (lr * weight_decay): product, difference.

    m and v are 0 before the first step. For float32 parameters all rates are rounded to float32 first. 1 - beta1,
    1 - beta2, lr * weight_decay, s and 1 / r are numbers of Python's, made of these in float64, each operation rounded
    once, and only then rounded to the parameter's type; beta^t is made of products (`power`). Roots are IEEE's, taken
    on the CPU. Rates may be changed between steps, in `param_groups`, and torch's schedules do. Torch's foreach, fused,
    capturable and differentiable are no arguments: there is one way here.

    Args:
        params: tensors to learn, float64 or float32, or named ones; or groups of them with rates of their own, each a
            dictionary with "params".
        lr: learning rate.
        betas: shares of the mean gradient m and of the mean square v that are kept.
        eps: what is added to the root.
        weight_decay: share of a weight that is added to its gradient.
        amsgrad: whether the largest v so far is taken.
        maximize: whether to climb.
        decoupled_weight_decay: whether weights decay by themselves, as AdamW's do.

    Raises:
        ValueError: for an lr, eps or weight_decay that is negative or no finite number, for betas that are not two
            numbers from 0 to below 1, for no tensors, one that is named twice, or one that is computed from others.
        TypeError: for anything but tensors of these types.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        >>> optimizer = exact.Adam([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.item()
        0.5000000025
    """

    buffers = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay,
        })  # fmt: skip

    def _require_rates(self, group: Group) -> None:
        """Raise ValueError for rates that are none."""
        require_numbers(group, "lr", "eps", "weight_decay")
        betas = group["betas"]
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas}, but must be two numbers from 0 to below 1")

    def _update(self, group: Group, learning: Gradients) -> None:
        """Change parameters and their means."""
        for i, w, g in learning:
            step = int(self.state[w].get("step", 0)) + 1
            self.state[w]["step"] = torch.tensor(step, device="cpu")
            rates = {name: rounded(float(group[name]), w.dtype) for name in ("lr", "eps", "weight_decay")}
            self._learn(group, i, w, g, step, **rates)

    def _learn(
        self, group: Group, i: int, w: Tensor, g: Tensor, step: int, lr: float, eps: float, weight_decay: float
    ) -> None:
        def rate(value: float) -> float:
            return rounded(value, w.dtype)

        if weight_decay and group["decoupled_weight_decay"]:
            w.sub_(w * rate(lr * weight_decay))
        elif weight_decay:
            g = g + w * weight_decay
        beta1, beta2 = (rate(float(beta)) for beta in group["betas"])
        m, v = (self.buffer(name, i, w) for name in ("exp_avg", "exp_avg_sq"))
        m.mul_(beta1).add_(g * rate(1.0 - beta1))
        v.mul_(beta2).add_((g * g).mul_(rate(1.0 - beta2)))
        if group["amsgrad"]:
            most = self.buffer("max_exp_avg_sq", i, w)
            v = most.copy_(torch.maximum(most, v))
        s, r = lr / (1.0 - power(beta1, step)), math.sqrt(1.0 - power(beta2, step))
        u = root(v.cpu().flatten()).view(v.shape).to(v.device)
        w.sub_((m / u.mul_(rate(1.0 / r)).add_(eps)).mul_(rate(s)))


class AdamW(Adam):
    """torch.optim.AdamW: `Adam` whose weights decay by themselves, beside their gradients.

    Args:
        params: as of `Adam`, and so are all others.
        lr: learning rate.
        betas: shares of the mean gradient and of the mean square that are kept.
        eps: what is added to the root.
        weight_decay: share of a weight, times lr, that it loses in a step.
        amsgrad: whether the largest mean square so far is taken.
        maximize: whether to climb.

    Raises:
        As `Adam` does.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        >>> optimizer = exact.AdamW([w], lr=0.5, weight_decay=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.item()
        0.25000000250000004
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

    def __setstate__(self, state: Group) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # of Adam, or of a torch whose AdamW does not say so
            group["decoupled_weight_decay"] = True


def power(beta: float, n: int) -> float:
    """beta^n as float64 products, each rounded once: for each binary digit of n, from the first, the square of what
    there is, times beta where the digit is 1. Python's own is the C library's, and each has its own.
    """
    y = 1.0
    for digit in f"{n:b}":
        y = y * y
        if digit == "1":
            y = y * beta
    return y
