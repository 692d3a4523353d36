"""The one place where `arithmetic: exact | float32` of params.yaml becomes code."""

import importlib
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.exact import Refused


class Arithmetic(Protocol):
    """What samebits.exact and samebits.learning.float32 both offer, under torch's names and with torch's meaning."""

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
    able: Callable[[torch.device | str], None]
    check: Callable[[int, list[int], torch.device], None]


MODULES = {"exact": "samebits.exact", "float32": "samebits.learning.float32"}


def arithmetic(name: Literal["exact", "float32"], where: torch.device | str = "cpu") -> Arithmetic:
    """Return the module that does the arithmetic.

    Raises UserError if it cannot keep its word on this machine, or on the device `where`.
    """
    module = cast(Arithmetic, importlib.import_module(MODULES[name]))
    try:
        module.able(where)
    except Refused as error:
        raise UserError(f"arithmetic {name} cannot be done here: {error}") from None
    return module
