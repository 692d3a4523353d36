"""Which passes are used: those of `layer`, or the compiled ones once `prepare` has asked for them."""

from typing import Any

import torch
from torch import Tensor

from . import layer
from .layer import Learning

MOST = 2**16  # inputs and samples: what 32 bits can sum
_compiled: Any = None  # the module `fast`, on CPUs


def use(fast: Any) -> None:
    """Take the passes of the module `fast` on CPUs from now on, or `layer` again for None."""
    global _compiled
    _compiled = fast


def of(device: torch.device, *sizes: int) -> Any:
    """The passes for tensors of these sizes: the module `layer`, or `fast`, which has the same functions."""
    return compiled(device, *sizes) or layer


def compiled(device: torch.device, *sizes: int) -> Any:
    """`fast` where it is used and fits: it sums in 32 bits, and takes no empty tensors; else None."""
    fits = _compiled is not None and device.type == "cpu" and all(0 < size <= MOST for size in sizes)
    return _compiled if fits else None


def sgd(learning: list[Learning], lr: float, momentum: float, decay: float) -> list[Learning]:
    """Update what the compiled pass can; returns the rest."""
    if _compiled is None:
        return learning
    fit = [_fits(*each) for each in learning]
    _compiled.sgd([each for each, fits in zip(learning, fit, strict=True) if fits], lr, momentum, decay)
    return [each for each, fits in zip(learning, fit, strict=True) if not fits]


def _fits(w: Tensor, g: Tensor, v: Tensor | None) -> bool:
    there = w.dtype == torch.float32 and w.device.type == "cpu" and w.is_contiguous() and g.is_contiguous()
    return there and (v is None or v.is_contiguous())
