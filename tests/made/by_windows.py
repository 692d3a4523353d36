"""A convolution on integers once more, from the list of roundings in docs/exact.md alone: window by window, int64 sums.

Nothing of samebits.exact is used here; grids are those of `unfused`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tests.made.unfused import F32, F64, I64, Floats, Wholes, grid, power, whole

Pair = tuple[int, int]


class How(NamedTuple):
    """What torch.nn.Conv2d calls so."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


def gridded(x: npt.NDArray[Any]) -> tuple[Wholes, Wholes, Any]:
    """Integers of the inputs x [n, ...], the grids of the samples, and what a level is worth."""
    if x.dtype != F32:
        return x.astype(I64), np.zeros(len(x), I64), F32(1 / 255)
    rows = x.reshape(len(x), -1)
    tops, signed = np.abs(rows).max(1), (rows < 0).any(1)
    e = np.where(signed, grid(tops, 7), grid(tops, 8))
    return whole(rows, e[:, None]).reshape(x.shape), e, F32(1)


def places(
    shape: tuple[int, ...], w: tuple[int, ...], how: How
) -> Iterator[tuple[int, int, int, slice, tuple[Any, Any]]]:
    """Each window of each group: its row and column, the group, its channels, and its place in the padded picture."""
    rows, columns = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(shape[2:], w[2:], how.stride, how.padding, how.dilation, strict=True)
    )
    for group in range(how.groups):
        for i in range(rows):
            for j in range(columns):
                top, left = i * how.stride[0], j * how.stride[1]
                window = (slice(top, top + how.dilation[0] * (w[2] - 1) + 1, how.dilation[0]),
                          slice(left, left + how.dilation[1] * (w[3] - 1) + 1, how.dilation[1]))  # fmt: skip
                yield i, j, group, slice(group * w[1], (group + 1) * w[1]), window


def padded(q: Wholes, how: How) -> Wholes:
    """With zeros around."""
    return np.pad(q, ((0, 0), (0, 0), (how.padding[0],) * 2, (how.padding[1],) * 2))


def conv2d(x: npt.NDArray[Any], w: Floats, b: Floats, g: Floats, how: How) -> tuple[Floats, Floats, Floats, Floats]:
    """(z, dx, dw, db) of x [n, channels, ...], w [m, channels / groups, ...], b [m] and g like z."""
    qx, ex, c = gridded(x)
    ew = grid(np.abs(w.reshape(len(w), -1)).max(1), 7)
    qw = whole(w, ew[:, None, None, None])
    n, m, each = len(x), len(w), len(w) // how.groups
    eg = grid(np.abs(g * power(ex)[:, None, None, None]).max((0, 2, 3)), 14)
    fine = whole(g * power(ex)[:, None, None, None], eg[:, None, None])
    h = g * power(ew)[:, None, None]
    eh = grid(np.abs(h).reshape(n, -1).max(1), 7)
    coarse = whole(h, eh[:, None, None, None])
    canvas, z, dw = padded(qx, how), np.zeros(g.shape, I64), np.zeros(w.shape, I64)
    below = np.zeros(canvas.shape, I64)
    for i, j, group, channels, window in places(x.shape, w.shape, how):
        outputs = slice(group * each, (group + 1) * each)
        patch = canvas[:, channels, window[0], window[1]]
        z[:, outputs, i, j] = np.tensordot(patch, qw[outputs], ((1, 2, 3), (1, 2, 3)))
        dw[outputs] += np.tensordot(fine[:, outputs, i, j], patch, (0, 0))
        below[:, channels, window[0], window[1]] += np.tensordot(coarse[:, outputs, i, j], qw[outputs], (1, 0))
    (top, left), (rows, columns) = how.padding, x.shape[2:]
    out = z.astype(F32) * ((power(ew) * c)[:, None, None] * power(ex)[:, None, None, None]) + b[:, None, None]
    dx = below[:, :, top : top + rows, left : left + columns].astype(F32) * power(eh)[:, None, None, None]
    eb = grid(np.abs(g).max((0, 2, 3)), 22)
    db = whole(g, eb[:, None, None]).sum((0, 2, 3)).astype(F32) * power(eb)
    assert m == each * how.groups
    assert out.dtype == dx.dtype == db.dtype == F32
    assert F64(np.abs(dw).max(initial=0)) < 2.0**53
    return out, dx, dw.astype(F32) * (power(eg) * c)[:, None, None, None], db
