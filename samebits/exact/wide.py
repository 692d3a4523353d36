"""The same functions and modules with float64 as a model's type: products of 21 bits and more, in training too.

`arithmetic: wide` in params.yaml. It costs several times what training on 8-bit integers does, and ends no better.
"""

import torch

from . import (
    SGD,
    Adam,
    AdamW,
    CrossEntropyLoss,
    ReLU,
    bias_gradient,
    cross_entropy,
    divide,
    exp,
    linear,
    log,
    require_device,
    require_sizes,
    softmax,
    sum,
    weight_gradient,
)  # fmt: skip
from . import Linear as _Linear

dtype = torch.float64
loss_dtype = torch.float64

__all__ = [
    "SGD", "Adam", "AdamW", "CrossEntropyLoss", "Linear", "ReLU", "bias_gradient", "cross_entropy", "divide", "dtype",
    "exp", "linear", "log", "loss_dtype", "require_device", "require_sizes", "softmax", "sum", "weight_gradient",
]  # fmt: skip


def Linear(in_features: int, out_features: int) -> _Linear:  # noqa: N802
    """A layer of float64."""
    return _Linear(in_features, out_features, dtype=dtype)
