"""A convolution's passes through the compiled `kernels`: those of `convolution`, bit for bit."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..windows import Windows, blank, inside
from . import kernels, plain
from .plain import Rows

Array = Any
F32 = np.float32


def each(n: int, x: Tensor | float | None) -> Array:
    """[n] of what each sample has: float32."""
    return x.numpy() if isinstance(x, Tensor) else np.full(n, 1 if x is None else x, F32)


def affine(
    sums: Tensor, step: Tensor | None, lift: Tensor | int, w: Rows, share: float, bias: Tensor | None, out: Tensor
) -> Tensor:  # fmt: skip
    """Outputs [n, m, ...] of sums [groups, m / groups, n l]; no bias is one of -0.0, which changes nothing."""
    n, channels, groups = len(out), out.shape[1], len(sums)
    b = np.full(channels, -0.0, F32) if bias is None else bias.detach().contiguous().numpy()
    a, z = sums.contiguous().view(channels, n, -1).numpy(), out.view(n, channels, -1)
    scales = w.total.flatten().numpy(), w.step.flatten().numpy(), F32(share)
    kernels.convolved(a, *scales, each(n, step), each(n, lift), b, z.numpy())
    plain.numbers(z.view(n, groups, -1).transpose(0, 1))
    return out


def slices(g: Tensor, scale: Tensor, inverse: Tensor, lift: Tensor, both: Tensor) -> Tensor:
    """Both slices of integers [n, m, l], written; returns the sum of the integers times the lifts."""
    lifted = np.zeros(g.shape[1], np.int64)
    given = (x.numpy() for x in (scale, inverse, lift))
    kernels.sliced(g.contiguous().numpy(), *given, both.numpy(), lifted)
    return torch.from_numpy(lifted).double()


def added(patches: Tensor, windows: Windows) -> Tensor:
    """`windows.added`."""
    whole = blank(patches[:, 0], windows)
    channels, _, n, down, across = patches.shape
    entries = patches.view(channels, *windows.kernel, n, down, across).numpy()
    kernels.added(entries, np.array(windows.stride), np.array(windows.dilation), whole.numpy())
    return inside(whole, windows)
