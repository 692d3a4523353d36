"""Ordinary float32 arithmetic under the names of stages.exact, so that a model can be trained in either.

Its results depend on threads, instruction set and device in their last bits; that is what stages.exact is for.
"""

import torch
from torch import Tensor, nn
from torch.nn import CrossEntropyLoss, ReLU
from torch.nn.functional import cross_entropy
from torch.optim import SGD

__all__ = [
    "SGD",
    "CrossEntropyLoss",
    "Linear",
    "ReLU",
    "check",
    "cross_entropy",
    "dtype",
    "exp",
    "log",
    "matmul",
    "softmax",
    "sum",
]

dtype = torch.float32
exp = torch.exp
log = torch.log


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b; either may hold integers."""
    return a.to(dtype) @ b.to(dtype)


def sum(x: Tensor, dim: int) -> Tensor:  # the name that exact has, and torch
    """Return the sum of x over `dim`."""
    return x.sum(dim)


def softmax(logits: Tensor) -> Tensor:
    """Return the probabilities over the last axis."""
    return logits.softmax(-1)


def check(batch: int, widths: list[int], device: torch.device) -> None:
    """Refuse nothing: float32 rounds whatever does not fit."""


class Linear(nn.Linear):
    """torch's layer, which also takes uint8 pixels, as levels of 1/255."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features]."""
        return super().forward(input if input.is_floating_point() else input.to(dtype) / 255)
