"""Training on 8-bit integers once more, from the list of roundings in docs/exact.md alone: numpy, int64 sums, unfused.

Nothing of samebits.exact.integers is used here, and no product is anything but integers'.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.exact import elementary

F32, F64, I64 = np.float32, np.float64, np.int64
Floats = npt.NDArray[np.float32]
Wholes = npt.NDArray[np.int64]


@dataclass
class Layer:
    """Weight [m, k], bias [m] and their velocities."""

    w: Floats
    b: Floats
    vw: Floats | None = None
    vb: Floats | None = None


def grid(top: Floats, p: int) -> Wholes:
    """The least e >= -100 with round(top / 2^e) < 2^p."""
    e = np.full(top.shape, -100, I64)
    while (coarse := np.rint(np.ldexp(top.astype(F64), -e)) >= 2**p).any():
        e = e + coarse
    return e


def whole(x: Floats, e: Wholes) -> Wholes:
    """round(x / 2^e)."""
    return np.rint(np.ldexp(x.astype(F64), -e)).astype(I64)


def power(e: Wholes) -> Floats:
    """2^e."""
    return np.ldexp(F32(1), e).astype(F32)


def step(layers: list[Layer], x: npt.NDArray[Any], y: Wholes, lr: float, momentum: float, decay: float) -> float:
    """Learn from a minibatch: pixels [n, k] (uint8 or int8) or real inputs (float32); the mean loss before."""
    n, seen = len(x), []
    for i, layer in enumerate(layers):
        if x.dtype == F32:
            tops, signed = np.abs(x).max(1), (x < 0).any(1)
            ex = np.where(signed, grid(tops, 7), grid(tops, 8))
            q, c = whole(x, ex[:, None]), F32(1)
        else:
            ex, q, c = np.zeros(n, I64), x.astype(I64), F32(1 / 255)
        ew = grid(np.abs(layer.w).max(1), 7)
        qw = whole(layer.w, ew[:, None])
        z = (q @ qw.T).astype(F32) * ((power(ew) * c)[None] * power(ex)[:, None]) + layer.b
        seen.append((q, ex, c, qw, ew, z))
        if i + 1 < len(layers):
            x = np.maximum(z, F32(0))
    loss, g = loss_side(z, y)
    for i in reversed(range(len(layers))):
        layer, (q, ex, c, qw, ew, z) = layers[i], seen[i]
        if i + 1 < len(layers):
            g = np.where(z > 0, g, F32(0))
        eb = grid(np.abs(g).max(0), 22)
        db = whole(g, eb).sum(0).astype(F32) * power(eb)
        h = g * power(ex)[:, None]
        eg = grid(np.abs(h).max(0), 7)
        dw = (whole(h, eg).T @ q).astype(F32) * (power(eg) * c)[:, None]
        h = g * power(ew)
        eh = grid(np.abs(h).max(1), 7)
        g = (whole(h, eh[:, None]) @ qw).astype(F32) * power(eh)[:, None]
        layer.w, layer.vw = updated(layer.w, layer.vw, dw, lr, momentum, decay)
        layer.b, layer.vb = updated(layer.b, layer.vb, db, lr, momentum, decay)
    return loss


def loss_side(z: Floats, y: Wholes) -> tuple[float, Floats]:
    """The mean loss, and its gradient for the logits."""
    rows, n = np.arange(len(y)), F64(len(y))
    d = z.astype(F64) - z.max(1, keepdims=True).astype(F64)
    t = np.clip(d * elementary.LOG2E, -64.0, 0.0)
    whole_part = np.rint(t)
    f = t - whole_part
    poly = f * elementary.EXP2[8]
    for c in elementary.EXP2[7:0:-1]:
        poly = (poly + c) * f
    e = np.rint((poly + elementary.EXP2[0]) * np.ldexp(1.0, whole_part.astype(I64) + 40))
    s = e.sum(1)
    p = e / s[:, None]
    p[rows, y] -= 1.0
    losses = np.log(s * 2.0**-40) - d[rows, y]  # the library's logarithm: compared to some digits
    return float(losses.mean()), (p / n).astype(F32)


def updated(
    w: Floats, v: Floats | None, g: Floats, lr: float, momentum: float, decay: float
) -> tuple[Floats, Floats | None]:
    """The weight and its velocity."""
    if decay:
        g = g + w * F32(decay)
    if momentum:
        g = v = g if v is None else v * F32(momentum) + g
    return w - g * F32(lr), v
