"""Overflow and underflow of the naive softmax."""

import pandas as pd
import torch
from torch import tensor

from samebits import exact
from samebits.learning import scratch
from samebits.report.lessons.beside import OPS, by_scratch, real

SIZES = (*range(0, 45, 5), *range(55, 125, 5), 1000)  # float32 has no normal numbers for p[2] between 44 and 51


def overflow() -> pd.DataFrame:
    """Columns size s of the logits [s, 0, -s]; naive_p, naive_loss by float32; p, loss by log-sum-exp.

    p is the first class's, the loss that of the third. float32's figures are rounded to 0.01, far above its noise.
    """
    rows = []
    for size in SIZES:
        z = tensor([[size, 0, -size]], dtype=torch.float32)
        E = torch.exp(z)
        naive = E / E.sum(-1, keepdim=True)
        Z = z.double()
        p, loss = scratch.softmax(OPS, Z)[0, 0].item(), by_scratch(Z, tensor([2]))
        rows.append([size, round(naive[0, 0].item(), 2), round(-naive[0, 2].log().item(), 2), p, loss])
    return pd.DataFrame(rows, columns=["size", "naive_p", "naive_loss", "p", "loss"])


def limits() -> tuple[float, float]:
    """Return the sizes s from which exp(-s) / exp(s) is zero in float32, and exp(s) infinite."""
    least, most = torch.finfo(torch.float32).smallest_normal * 2.0**-23, torch.finfo(torch.float32).max
    return -exact.log(real([least / 2])).item() / 2, exact.log(real([most])).item()
