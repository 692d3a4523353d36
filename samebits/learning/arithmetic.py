"""The one place where `arithmetic: exact | wide | float32` of params.yaml becomes code."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from samebits import exact
from samebits.base.errors import UserError

WORTH = 10**9  # pixels and weights that pass by in a training before it pays to load compiled kernels, or compile them
Name = Literal["exact", "wide", "float32"]
# What a model's file and its run in MLflow say of how it was trained: a change of any rounding is a new version.
VERSIONS = {"exact": "exact 2", "wide": "wide 1", "float32": "float32 1"}
EARLIER = {"exact": "wide", "float32": "float32"}  # what files say that were written before there were versions


class Arithmetic(Protocol):
    """What exact, exact.wide and learning.float32 all offer, under torch's names and with torch's meaning."""

    dtype: torch.dtype  # of weights while they learn
    loss_dtype: torch.dtype  # of losses, and of weights when they are judged
    Linear: Callable[[int, int], nn.Module]
    ReLU: Callable[[], nn.Module]
    CrossEntropyLoss: Callable[[], nn.Module]
    SGD: Callable[..., Any]
    linear: Callable[[Tensor, Tensor, Tensor], Tensor]
    weight_gradient: Callable[[Tensor, Tensor], Tensor]
    bias_gradient: Callable[[Tensor], Tensor]
    sum: Callable[[Tensor, int], Tensor]
    exp: Callable[[Tensor], Tensor]
    log: Callable[[Tensor], Tensor]
    softmax: Callable[[Tensor], Tensor]
    cross_entropy: Callable[..., Tensor]
    divide: Callable[[Tensor, int], Tensor]
    require_device: Callable[[torch.device | str], None]
    require_sizes: Callable[[int, list[int], torch.device], None]


def arithmetic(name: Name, where: torch.device | str = "cpu") -> Arithmetic:
    """Return the module that does the arithmetic: exact trains on 8-bit integers, wide in float64, both exactly.

    Raises UserError if it cannot keep its word on this machine, or on the device `where`.
    """
    loaders = {"exact": lambda: exact, "wide": _wide, "float32": _float32}
    ops = cast(Arithmetic, loaders[name]())
    try:
        ops.require_device(where)
    except exact.Refused as error:
        raise UserError(f"arithmetic {name} cannot be done here: {error}") from None
    return ops


def on_integers(ops: Arithmetic) -> bool:
    """Whether models are trained more coarsely than they are judged: in exact arithmetic, on 8-bit integers."""
    return ops.dtype != ops.loss_dtype


def prepared(ops: Arithmetic, where: torch.device, work: float) -> None:
    """Load compiled kernels if so much `work` is worth it; a line says so where that cannot be."""
    if on_integers(ops) and work >= WORTH and (why := exact.prepare(where)):
        print(f"note: {why}: training takes several times as long, and ends in the same bits", flush=True)


def judging(trained: str, where: torch.device | str = "cpu") -> Arithmetic:
    """Return the arithmetic that answers for a model: float64's for one that was `trained` exactly, however.

    `trained` is what a model's file says, as in VERSIONS. Raises UserError as `arithmetic` does, LookupError for what
    nobody knows.
    """
    names = {version: name for name, version in VERSIONS.items()} | EARLIER
    return arithmetic("float32" if names[trained] == "float32" else "wide", where)


def _wide() -> object:
    from samebits.exact import wide

    return wide


def _float32() -> object:
    from samebits.learning import float32  # here, for torch.optim takes two seconds to import

    return float32
