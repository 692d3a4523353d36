"""Arithmetic whose bits do not depend on the machine, shaped like torch.nn; docs/exact.md says how and why."""

import torch
from torch.nn import Flatten, Module, ReLU, Sequential

from .adam import Adam, AdamW
from .convolution import Conv2d
from .dropout import Dropout
from .functional import (
    bias_gradient,
    cross_entropy,
    divide,
    exp,
    exp2,
    linear,
    log,
    log_softmax,
    matmul,
    softmax,
    sum,
    weight_gradient,
)  # fmt: skip
from .guard import NonFinite, Refused, at, finite
from .hashing import digest
from .integers.prepare import prepare
from .machine import require_device, require_sizes
from .modules import CrossEntropyLoss, Linear
from .normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from .optim import SGD
from .pooling import AvgPool2d, MaxPool2d
from .random import normal, permutation, uniform

dtype = torch.float32  # of a model in training
loss_dtype = torch.float64  # of its losses, and of the model when it is judged

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "NonFinite",
    "ReLU",
    "Refused",
    "Sequential",
    "at",
    "bias_gradient",
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
    "loss_dtype",
    "matmul",
    "normal",
    "permutation",
    "prepare",
    "require_device",
    "require_sizes",
    "softmax",
    "sum",
    "uniform",
    "weight_gradient",
]  # fmt: skip
