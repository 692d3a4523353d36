"""Which answers are right."""

from torch import Tensor


def correct(Z: Tensor, y: Tensor) -> Tensor:
    """Return which of the rows Z [..., N, K] have their largest logit at the label y [..., N], bool [..., N]."""
    return Z.argmax(-1) == y


def hits(Z: Tensor, y: Tensor) -> Tensor:
    """Return how many those are, [...]."""
    return correct(Z, y).sum(-1)
