"""The one place where `arithmetic: exact | float32` of params.yaml becomes code."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from samebits import exact
from samebits.base.errors import UserError


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
    divide: Callable[[Tensor, int], Tensor]
    require_device: Callable[[torch.device | str], None]
    require_sizes: Callable[[int, list[int], torch.device], None]


def arithmetic(name: Literal["exact", "float32"], where: torch.device | str = "cpu") -> Arithmetic:
    """Return the module that does the arithmetic.

    Raises UserError if it cannot keep its word on this machine, or on the device `where`.
    """
    loaders = {"exact": lambda: exact, "float32": _float32}
    ops = cast(Arithmetic, loaders[name]())
    try:
        ops.require_device(where)
    except exact.Refused as error:
        raise UserError(f"arithmetic {name} cannot be done here: {error}") from None
    return ops


def _float32() -> object:
    from samebits.learning import float32  # here, for torch.optim takes two seconds to import

    return float32
