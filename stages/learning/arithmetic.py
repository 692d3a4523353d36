"""The one place where `arithmetic: exact | float32` of params.yaml becomes code."""

import importlib
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn


class Arithmetic(Protocol):
    """What stages.exact and stages.learning.float32 both offer, under torch's names and with torch's meaning."""

    dtype: torch.dtype
    Linear: Callable[[int, int], nn.Module]
    ReLU: Callable[[], nn.Module]
    CrossEntropyLoss: Callable[[], nn.Module]
    SGD: Callable[..., Any]
    matmul: Callable[[Tensor, Tensor], Tensor]
    sum: Callable[[Tensor, int], Tensor]
    exp: Callable[[Tensor], Tensor]
    log: Callable[[Tensor], Tensor]
    softmax: Callable[[Tensor], Tensor]
    cross_entropy: Callable[..., Tensor]
    check: Callable[[int, list[int], torch.device], None]


def arithmetic(name: Literal["exact", "float32"]) -> Arithmetic:
    """Return the module that does the arithmetic."""
    module = {"exact": "stages.exact", "float32": "stages.learning.float32"}[name]
    return cast(Arithmetic, importlib.import_module(module))
