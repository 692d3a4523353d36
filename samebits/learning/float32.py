"""Ordinary float32 arithmetic under the names of samebits.exact, so that a model can be trained in either.

Its results depend on threads, instruction set and device in their last bits; that is what samebits.exact is for.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import ReLU
from torch.nn import functional as F
from torch.optim import SGD

__all__ = [
    "SGD",
    "CrossEntropyLoss",
    "Linear",
    "ReLU",
    "bias_gradient",
    "cross_entropy",
    "divide",
    "dtype",
    "exp",
    "linear",
    "log",
    "loss_dtype",
    "matmul",
    "require_device",
    "require_sizes",
    "softmax",
    "sum",
    "weight_gradient",
]

dtype = loss_dtype = torch.float32
exp = torch.exp
log = torch.log


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b; either may hold integers."""
    return a.to(dtype) @ b.to(dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x weight^T / 255 + bias for pixels x."""
    return divide(matmul(x, weight.mT), 255) + bias.unsqueeze(-2)


def weight_gradient(g: Tensor, x: Tensor) -> Tensor:
    """Return g^T x / 255, what pixels x and the outputs' gradient g make of the loss's gradient for the weight."""
    return matmul(divide(g, 255).mT, x)


def bias_gradient(g: Tensor) -> Tensor:
    """Return the sum of g over the samples."""
    return g.sum(-2)


def sum(x: Tensor, dim: int) -> Tensor:  # the name that exact has, and torch
    """Return the sum of x over `dim`."""
    return x.sum(dim)


def softmax(logits: Tensor) -> Tensor:
    """Return the probabilities over the last axis."""
    return logits.softmax(-1)


def cross_entropy(logits: Tensor, labels: Tensor, reduction: Literal["none", "mean"] = "mean") -> Tensor:
    """Return the losses of logits [..., N, K] and labels [..., N]: each one, or their mean over N."""
    if logits.ndim == 2:
        return F.cross_entropy(logits, labels, reduction=reduction)
    losses = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none").view(labels.shape)
    return losses if reduction == "none" else losses.mean(-1)


def require_device(device: torch.device | str) -> None:
    """Refuse no machine: each has a float32 of its own."""


def require_sizes(batch: int, widths: list[int], device: torch.device) -> None:
    """Refuse nothing: float32 rounds whatever does not fit."""


def divide(x: Tensor, n: int) -> Tensor:
    """Return x / n, by one division on every device: see exact.divide."""
    return x / torch.tensor(n, dtype=x.dtype, device=x.device)


class CrossEntropyLoss(nn.Module):
    """cross_entropy, the mean of it, as a module."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss over the images."""
        return cross_entropy(logits, labels)


class Linear(nn.Linear):
    """torch's layer, which also takes uint8 pixels, as levels of 1/255, and weights [S, out, in] for S seeds."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features]."""
        x = input if input.is_floating_point() else input.to(dtype) / 255
        return (
            super().forward(x) if self.weight.ndim == 2 else torch.baddbmm(self.bias.unsqueeze(-2), x, self.weight.mT)
        )
