"""Softmax regression from scratch: every step of learning by hand (Dive into Deep Learning, 3.6 and 3.7).

The letters are the book's, for a minibatch of B images of D pixels in K classes:

    X  pixels 0..255, uint8 [B, D]         W  weight [K, D]: a row is one class's template
    y  labels, int64 [B]                   b  bias [K]
    Z  logits [B, K]                       P  probabilities [B, K]

Axes are counted from the right (-1 is the classes, -2 the images), so that each letter may have one more axis on its
left: `Scratch` trains S seeds side by side, W [S, K, D], and nothing below needs to know.

`ops` is the arithmetic: samebits.exact or samebits.learning.float32.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from samebits.learning.arithmetic import Arithmetic


def net(ops: Arithmetic, X: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """Return the logits Z = X W^T / 255 + b. Dividing last keeps the pixels in the product small integers."""
    return ops.matmul(X, W.mT) / _number(255, W) + b.unsqueeze(-2)


def softmax(ops: Arithmetic, Z: Tensor) -> Tensor:
    """Return P = exp(Z) / sum(exp(Z)), row by row. The row's maximum goes first: no exp can overflow."""
    E = ops.exp(Z - Z.amax(-1, keepdim=True))
    return E / ops.sum(E, -1).unsqueeze(-1)


def cross_entropy(ops: Arithmetic, Z: Tensor, y: Tensor) -> Tensor:
    """Return each image's loss [B], -log P[y] = log(sum(exp(Z))) - Z[y], which takes no log of zero."""
    D = Z - Z.amax(-1, keepdim=True)
    return ops.log(ops.sum(ops.exp(D), -1)) - pick(D, y)


def pick(A: Tensor, y: Tensor) -> Tensor:
    """Return A[i, y[i]] for every row i."""
    return A.gather(-1, y.unsqueeze(-1)).squeeze(-1)


def accuracy(Z: Tensor, y: Tensor) -> float:
    """Return the share of rows whose largest logit (or probability) is the label's."""
    return hits(Z, y).item() / len(y)


def hits(Z: Tensor, y: Tensor) -> Tensor:
    """Return the number of rows whose largest logit is the label's."""
    return (Z.argmax(-1) == y).sum(-1)


def gradient(ops: Arithmetic, X: Tensor, y: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss's gradient for W and b. For the logits it is (P - Y) / B, with Y one-hot."""
    P, Y = softmax(ops, Z), one_hot(y, Z.shape[-1])
    G = (P - Y) / _number(y.shape[-1], Z)
    return ops.matmul((G / _number(255, Z)).mT, X), ops.sum(G, -2)


def sgd(
    parameters: list[Tensor], gradients: list[Tensor], velocities: list[Tensor], lr: float, momentum: float
) -> None:
    """Take one step of minibatch stochastic gradient descent in place: v = momentum v + g, w = w - lr v."""
    for w, g, v in zip(parameters, gradients, velocities, strict=True):
        v.mul_(momentum).add_(g)
        w.sub_(v * lr)


class Scratch:
    """S models and their update, as the training loop wants them: W [S, K, D], b [S, K]."""

    def __init__(self, ops: Arithmetic, W: Tensor, b: Tensor, lr: float, momentum: float):
        self.ops, self.W, self.b = ops, W.to(ops.dtype, copy=True), b.to(ops.dtype, copy=True)
        self.velocities = [torch.zeros_like(self.W), torch.zeros_like(self.b)]
        self.lr, self.momentum = lr, momentum

    def logits(self, X: Tensor) -> Tensor:
        """Return Z [S, B, K] for images [S, B, H, W]."""
        return net(self.ops, X.flatten(-2), self.W, self.b)

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a minibatch for each seed; return mean losses and hits [S] from before the update."""
        Z = self.logits(X)
        losses = cross_entropy(self.ops, Z, y)
        gradients = gradient(self.ops, X.flatten(-2), y, Z)
        sgd([self.W, self.b], list(gradients), self.velocities, self.lr, self.momentum)
        return self.ops.sum(losses, -1) / _number(y.shape[-1], Z), hits(Z, y)

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        return {"weight": self.W, "bias": self.b}


def _number(value: int, like: Tensor) -> Tensor:
    """A divisor as a tensor: CUDA divides by a Python number through a rounded reciprocal."""
    return torch.tensor(value, dtype=like.dtype, device=like.device)
