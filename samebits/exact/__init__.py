"""Arithmetic whose bits do not depend on the machine, shaped like torch.nn; docs/exact.md says how and why."""

import torch
from torch.nn import ReLU

from .functional import cross_entropy, exp, exp2, linear, log, log_softmax, matmul, softmax, sum
from .guard import NonFinite, Refused, finite, where
from .hashing import digest
from .machine import able, check
from .modules import CrossEntropyLoss, Linear
from .optim import SGD
from .random import normal, permutation, uniform

dtype = torch.float64

__all__ = [
    "SGD", "CrossEntropyLoss", "Linear", "NonFinite", "ReLU", "Refused",
    "able", "check", "cross_entropy", "digest", "dtype", "exp", "exp2", "finite", "linear", "log", "log_softmax",
    "matmul", "normal", "permutation", "softmax", "sum", "uniform", "where",
]  # fmt: skip
