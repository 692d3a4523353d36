"""The gradient of the loss for the logits, by every route."""

import pandas as pd
import torch
from torch import Tensor, tensor
from torch.nn import functional as F

from samebits import exact
from samebits.learning import scratch
from samebits.report.lessons import printed
from samebits.report.lessons.beside import OPS, by_scratch, real


def gradient() -> pd.DataFrame:
    """Columns z, y (one-hot), p, p_minus_y, autograd (exact), torch (its own exp, sum and log) and slope (measured)."""
    example = printed.FROM_LOGITS[0]
    Z, y = real(example.rows), tensor(example.labels)
    Y = F.one_hot(y, Z.shape[-1])
    P = scratch.softmax(OPS, Z)
    library, by_parts = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    exact.cross_entropy(library, y).backward()
    (by_parts.exp().sum().log() - by_parts[0, y[0]]).backward()
    assert library.grad is not None
    assert by_parts.grad is not None
    return pd.DataFrame(
        {
            "z": Z[0].tolist(),
            "y": Y[0].tolist(),
            "p": P[0].tolist(),
            "p_minus_y": (P - Y)[0].tolist(),
            "autograd": library.grad[0].tolist(),
            "torch": [round(g, 4) for g in by_parts.grad[0].tolist()],
            "slope": _slopes(Z, y),
        }
    )


def _slopes(Z: Tensor, y: Tensor, h: float = 2.0**-10) -> list[float]:
    """How fast the loss grows with each logit, measured between h below it and h above it."""
    steps = torch.eye(Z.shape[-1], dtype=torch.float64) * h
    return [(by_scratch(Z + step, y) - by_scratch(Z - step, y)) / (2 * h) for step in steps]
