"""Arithmetic whose bits do not depend on the machine, shaped like torch.nn; docs/exact.md says how and why."""

import torch
from torch.nn import ReLU

from .functional import cross_entropy, divide, exp, exp2, linear, log, log_softmax, matmul, softmax, sum
from .guard import NonFinite, Refused, at, finite
from .hashing import digest
from .machine import require_device, require_sizes
from .modules import CrossEntropyLoss, Linear
from .optim import SGD
from .random import normal, permutation, uniform

dtype = torch.float64

__all__ = [
    "SGD",
    "CrossEntropyLoss",
    "Linear",
    "NonFinite",
    "ReLU",
    "Refused",
    "at",
    "cross_entropy",
    "digest",
    "divide",
    "dtype",
    "exp",
    "exp2",
    "finite",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "normal",
    "permutation",
    "require_device",
    "require_sizes",
    "softmax",
    "sum",
    "uniform",
]  # fmt: skip
