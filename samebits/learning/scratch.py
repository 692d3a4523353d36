"""Softmax regression from scratch: every step of learning by hand (Dive into Deep Learning, 3.6 and 3.7).

The letters are the book's, for a minibatch of B images of D pixels in K classes:

    X  pixels 0..255, uint8 [B, D]         W  weight [K, D]: a row is one class's template
    y  labels, int64 [B]                   b  bias [K]
    Z  logits [B, K]                       P  probabilities [B, K]

Axes are counted from the right (-1 is the classes, -2 the images), so that each letter may have one more axis on its
left: `Scratch` trains S seeds side by side, W [S, K, D], and nothing below needs to know.

`ops` is the arithmetic: samebits.exact, samebits.exact.wide or samebits.learning.float32. Weights and their gradients
are in its `dtype`, losses and what leads to them in its `loss_dtype`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from samebits.learning.arithmetic import Arithmetic, on_integers
from samebits.learning.hits import hits
from samebits.learning.initial import Layer
from samebits.learning.learner import Learner

if TYPE_CHECKING:
    from samebits.base.params import Training


def net(ops: Arithmetic, X: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """Return the logits Z = X W^T / 255 + b: a pixel is a share of 255."""
    return ops.linear(X, W, b).to(ops.loss_dtype)


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
    As Z = X W^T / 255 + b, it is G^T X / 255 for W, hence 255 a second time, and the sum of G over the images for b.
    """
    P, Y = softmax(ops, Z), one_hot(y, Z.shape[-1])
    G = ops.divide(P - Y, y.shape[-1]).to(ops.dtype)
    return ops.weight_gradient(G, X), ops.bias_gradient(G)


def sgd(
    parameters: list[Tensor], gradients: list[Tensor], velocities: list[Tensor], lr: float, momentum: float
) -> None:
    """Take one step of minibatch stochastic gradient descent in place: v = momentum v + g, w = w - lr v."""
    for w, g, v in zip(parameters, gradients, velocities, strict=True):
        v.mul_(momentum).add_(g)
        w.sub_(v * lr)


class Scratch(Learner):
    """S models and their update, as the training loop wants them: W [S, K, D], b [S, K]."""

    def __init__(self, ops: Arithmetic, W: Tensor, b: Tensor, lr: float, momentum: float):
        self.ops, self.W, self.b = ops, W.to(ops.dtype, copy=True), b.to(ops.dtype, copy=True)
        self.velocity = [torch.zeros_like(self.W), torch.zeros_like(self.b)]
        self.lr, self.momentum = lr, momentum
        self.threads = 1 if on_integers(ops) else None  # products so small gain nothing by a second

    def logits(self, X: Tensor) -> Tensor:
        """Return Z [S, B, K] for images [S, B, H, W], of the models as they are judged."""
        return net(self.ops, X.flatten(-2), self.W.to(self.ops.loss_dtype), self.b.to(self.ops.loss_dtype))

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a minibatch for each seed; return mean losses and hits [S] from before the update."""
        X = X.flatten(-2)
        Z = net(self.ops, X, self.W, self.b)
        losses = cross_entropy(self.ops, Z, y)
        gradients = gradient(self.ops, X, y, Z)
        sgd([self.W, self.b], list(gradients), self.velocity, self.lr, self.momentum)
        return self.ops.divide(self.ops.sum(losses, -1), y.shape[-1]), hits(Z, y)

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        return {"weight": self.W, "bias": self.b}

    def velocities(self) -> dict[str, Tensor]:
        """Return how fast that moves."""
        return dict(zip(self.state(), self.velocity, strict=True))

    def go_on(self, carried: dict[str, Tensor]) -> None:
        """Go on from where another left."""
        for name, tensor in self.carried().items():
            tensor.copy_(carried[name])


def build(ops: Arithmetic, layers: list[Layer], block: Training) -> Scratch:
    """Return the learner of `block`: one layer, by hand."""
    [(W, b)] = layers
    return Scratch(ops, W, b, block.lr, block.momentum)
