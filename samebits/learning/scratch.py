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
from samebits.learning.hits import hits

LEVELS = 255  # a pixel is a share of it


def net(ops: Arithmetic, X: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """Return the logits Z = X W^T / 255 + b. Dividing last keeps the pixels in the product small integers."""
    return ops.divide(ops.matmul(X, W.mT), LEVELS) + b.unsqueeze(-2)


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


def gradient(ops: Arithmetic, X: Tensor, y: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss's gradient for W and b.

    For the logits it is G = (P - Y) / B, with Y one-hot: the derivative of log(sum(exp(Z))) - Z[y] is P - Y (3.4.6.2).
    As Z = X W^T / 255 + b, it is G^T X / 255 for W and the sum of G over the images for b: hence 255 a second time, and
    here too apart from the pixels, which stay integers.
    """
    P, Y = softmax(ops, Z), one_hot(y, Z.shape[-1])
    G = ops.divide(P - Y, y.shape[-1])
    return ops.matmul(ops.divide(G, LEVELS).mT, X), ops.sum(G, -2)


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
        return self.ops.divide(self.ops.sum(losses, -1), y.shape[-1]), hits(Z, y)

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        return {"weight": self.W, "bias": self.b}
