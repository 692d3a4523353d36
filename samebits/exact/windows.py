"""Where the windows of convolutions and pools lie over a picture: places alone, nothing is rounded here.

A window is walked through entry by entry: entry (i, j) of all windows at once is one strided view of the padded
picture, so gathering windows is copying views, and adding them back is adding to views, entry by entry.
"""

from collections.abc import Iterator
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from .operands import size

Pair = tuple[int, int]


class Windows(NamedTuple):
    """Windows over pictures of one size: for each axis, rows first, what torch.nn calls so; `before` and `after` are
    the padding, and `out` says how many windows there are.
    """

    picture: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    before: Pair
    after: Pair
    out: Pair

    @property
    def entries(self) -> int:
        """Of one window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def apart(self) -> bool:
        """Whether no entry of a picture is in two windows."""
        return all(s >= d * (k - 1) + 1 for k, s, d in zip(self.kernel, self.stride, self.dilation, strict=True))


def pair(value: object, what: str, least: int) -> Pair:
    """A number for both axes, or one for each. Raises TypeError for what is no such thing, ValueError below `least`."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(isinstance(n, Integral) and not isinstance(n, bool) for n in both):
        raise TypeError(f"{what} is {value!r}, but must be a whole number, or two")
    if min(both) < least:
        raise ValueError(f"{what} is {value!r}, but must be at least {least}")
    return int(both[0]), int(both[1])


def windows(
    picture: Pair, kernel: Pair, stride: Pair, dilation: Pair, before: Pair, after: Pair, up: bool = False
) -> Windows:
    """The windows over a picture, as many as fit; `up` adds the last one that begins inside the picture or before it,
    and the padding that it needs. Raises ValueError where none fits.
    """
    out, needed = [], []
    for n, k, s, d, low, high in zip(picture, kernel, stride, dilation, before, after, strict=True):
        reach, room = d * (k - 1) + 1, low + n + high
        count = (room - reach + (s - 1 if up else 0)) // s + 1
        if up and (count - 1) * s >= n + low:
            count -= 1
        if count < 1 or not n:
            raise ValueError(f"the picture is {size_of(picture)}, too small for a window of {size_of(kernel)}")
        out.append(count)
        needed.append(max(high, (count - 1) * s + reach - low - n))
    return Windows(picture, kernel, stride, dilation, before, (needed[0], needed[1]), (out[0], out[1]))


def size_of(axes: Pair) -> str:
    """As it is written: 3 x 4."""
    return f"{axes[0]} x {axes[1]}"


def views(padded: Tensor, w: Windows) -> Iterator[Tensor]:
    """Entry after entry, row by row, those of all windows: views [..., *w.out] of padded pictures."""
    for i in range(w.kernel[0]):
        for j in range(w.kernel[1]):
            top, left = i * w.dilation[0], j * w.dilation[1]
            bottom, right = top + w.stride[0] * (w.out[0] - 1) + 1, left + w.stride[1] * (w.out[1] - 1) + 1
            yield padded[..., top : bottom : w.stride[0], left : right : w.stride[1]]


def along(padded: Tensor, w: Windows, axis: int) -> Iterator[Tensor]:
    """As `views`, of one axis of the picture, 0 or 1: what is summed over one and then over the other is summed."""
    for i in range(w.kernel[axis]):
        first = i * w.dilation[axis]
        last = first + w.stride[axis] * (w.out[axis] - 1) + 1
        yield padded[..., first : last : w.stride[axis], :] if axis == 0 else padded[..., first : last : w.stride[axis]]


def padded(x: Tensor, w: Windows, border: Tensor) -> Tensor:
    """Pictures x [..., *w.picture] with `border` around them, a tensor that broadcasts over x."""
    if w.before == w.after == (0, 0):
        return x
    rows, columns = (a + n + b for a, n, b in zip(w.before, w.picture, w.after, strict=True))
    out = border.to(x.dtype).expand(*x.shape[:-2], rows, columns).clone()
    inside(out, w).copy_(x)
    return out


def inside(padded: Tensor, w: Windows) -> Tensor:
    """The pictures in their padding."""
    (top, left), (rows, columns) = w.before, w.picture
    return padded[..., top : top + rows, left : left + columns]


def blank(x: Tensor, w: Windows) -> Tensor:
    """Zeros [..., padded picture], of the type and the leading axes of x [..., *w.out]."""
    return x.new_zeros([*x.shape[:-2], *(a + n + b for a, n, b in zip(w.before, w.picture, w.after, strict=True))])


def added(patches: Tensor, w: Windows) -> Tensor:
    """Entries [channels, entries, n, *w.out] added up where their windows lie: [channels, n, *w.picture]. Whoever calls
    sees to it that no such sum is rounded.
    """
    whole = blank(patches[:, 0], w)
    for place, entry in zip(views(whole, w), patches.unbind(1), strict=True):
        place.add_(entry)
    return inside(whole, w)


def require_pictures(x: Tensor, channels: int | None = None) -> Tensor:
    """x as [n, channels, rows, columns]; one picture alone may be without its first axis. Raises ValueError."""
    if x.ndim not in (3, 4) or (channels is not None and x.shape[-3] != channels):
        wanted = "channels" if channels is None else channels
        raise ValueError(
            f"the input is {size(x)}, but must be [n, {wanted}, rows, columns] or [{wanted}, rows, columns]"
        )
    return x if x.ndim == 4 else x.unsqueeze(0)


def nothing(x: Tensor) -> Tensor:
    """A border of zeros for x."""
    return torch.zeros((), dtype=x.dtype, device=x.device)
