"""MaxPool2d and AvgPool2d: maxima have no order, and sums over windows are exact."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from .elementary import shift
from .functional import refuse_double_backward
from .grid import integers, magic, peaks, snap, total_bits
from .guard import Refused, finite
from .operands import REAL, require_tensor
from .parts import parts, wide
from .windows import (
    Pair,
    Windows,
    along,
    blank,
    inside,
    nothing,
    padded,
    pair,
    require_pictures,
    size_of,
    views,
    windows,
)

INTEGERS = (torch.uint8, torch.int8)
LOWEST = {torch.uint8: 0, torch.int8: -128}  # what padding is to a maximum; of reals -inf


class MaxPool2d(nn.Module):
    """The largest entry of each window, as torch.nn.MaxPool2d; nothing is rounded.

    The gradient goes to the first of equal maxima, row by row. Where windows overlap, an entry may be the maximum of
    several: their gradients are added exactly, in float64 (docs/exact.md, "Other layers").

    Args:
        kernel_size: rows and columns of a window, or a number for both.
        stride: from one window to the next; None for windows side by side.
        padding: around the picture, at most half a window; never the maximum.
        dilation: from one entry of a window to the next.
        return_indices: refused where it is true.
        ceil_mode: whether there are windows that end beyond the padding.

    Raises:
        ValueError, TypeError: for sizes that are no whole numbers, or none that torch.nn.MaxPool2d takes.
        Refused: for return_indices.

    Example:
        >>> exact.MaxPool2d(2)(torch.tensor([[[0.0, 1.0], [3.0, 2.0]]])).tolist()
        [[[3.0]]]
    """

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0,
        dilation: int | Pair = 1, return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if return_indices:
            raise Refused("MaxPool2d returns no indices: leave return_indices False")
        self.kernel_size, self.stride, self.padding = sizes(kernel_size, stride, padding)
        self.dilation, self.ceil_mode = pair(dilation, "dilation", 1), ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """The maxima of x.

        Args:
            x: [n, channels, rows, columns] or [channels, rows, columns], float32, float64, uint8 or int8.

        Returns:
            The same with fewer rows and columns, of x's type.

        Raises:
            TypeError, ValueError: for another type or shape, and a picture smaller than a window.
            NonFinite: for a NaN or an infinity, on a CPU; elsewhere it is passed on.
        """
        require_real(x, (*REAL, *INTEGERS))
        pictures = require_pictures(x)
        if x.device.type == "cpu":
            finite(x, "the input of a pool")
        w = over(pictures, self.kernel_size, self.stride, self.dilation, self.padding, self.ceil_mode)
        y = cast(Tensor, _MaxPool.apply(pictures, w))
        return y if x.ndim == 4 else y.squeeze(0)

    def extra_repr(self) -> str:
        """Sizes, as torch shows them.

        Returns:
            What stands between the brackets.

        Example:
            >>> exact.MaxPool2d(2)
            MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil_mode=False)
        """
        said = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{said}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class AvgPool2d(nn.Module):
    """The mean of each window, as torch.nn.AvgPool2d: an exact sum in float64, divided once, rounded to x's type once.

    Args:
        kernel_size: rows and columns of a window, or a number for both.
        stride: from one window to the next; None for windows side by side.
        padding: zeros around the picture, at most half a window.
        ceil_mode: whether there are windows that end beyond the padding.
        count_include_pad: whether the zeros of the padding count.
        divisor_override: what sums are divided by in place of the number of entries.

    Raises:
        ValueError, TypeError: for sizes that are no whole numbers, or none that torch.nn.AvgPool2d takes.

    Example:
        >>> exact.AvgPool2d(2)(torch.tensor([[[0.0, 1.0], [3.0, 2.0]]])).tolist()
        [[[1.5]]]
    """

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0,
        ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride, self.padding = sizes(kernel_size, stride, padding)
        if divisor_override == 0:
            raise ValueError("divisor_override is 0, but must not be")
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        """The means of x.

        Args:
            x: [n, channels, rows, columns] or [channels, rows, columns], float32 or float64.

        Returns:
            The same with fewer rows and columns, of x's type.

        Raises:
            TypeError, ValueError: for another type or shape, and a picture smaller than a window.
            NonFinite: for a NaN or an infinity, on a CPU; elsewhere its sample is NaN.
        """
        require_real(x, REAL)
        pictures = require_pictures(x)
        w = over(pictures, self.kernel_size, self.stride, (1, 1), self.padding, self.ceil_mode)
        if self.divisor_override is None:
            counts = [entries(w, axis, self.count_include_pad) for axis in (0, 1)]
            number = [[rows * columns for columns in counts[1]] for rows in counts[0]]
        else:
            number = [[self.divisor_override]]
        y = cast(Tensor, _AvgPool.apply(pictures, w, torch.tensor(number, dtype=torch.float64, device=x.device)))
        return y if x.ndim == 4 else y.squeeze(0)

    def extra_repr(self) -> str:
        """Sizes, as torch shows them.

        Returns:
            What stands between the brackets.

        Example:
            >>> exact.AvgPool2d(2)
            AvgPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
        """
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def sizes(kernel_size: object, stride: object, padding: object) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding of a pool. Raises TypeError, ValueError."""
    kernel = pair(kernel_size, "kernel_size", 1)
    step, border = kernel if stride is None else pair(stride, "stride", 1), pair(padding, "padding", 0)
    if any(2 * b > k for b, k in zip(border, kernel, strict=True)):
        raise ValueError(f"padding is {size_of(border)}, but at most half of a window of {size_of(kernel)}")
    return kernel, step, border


def require_real(x: Tensor, types: tuple[torch.dtype, ...]) -> None:
    """Raise TypeError for another type."""
    require_tensor(x, "the input")
    if x.dtype not in types:
        raise TypeError(f"the input is {x.dtype}, but must be {', '.join(map(str, types))}")


def over(x: Tensor, kernel: Pair, stride: Pair, dilation: Pair, padding: Pair, up: bool) -> Windows:
    """The windows of a pool over pictures x."""
    return windows((x.shape[2], x.shape[3]), kernel, stride, dilation, padding, padding, up)


def entries(w: Windows, axis: int, with_padding: bool) -> list[int]:
    """How many entries of an axis count in each window: what ceil_mode has beyond the padding never does."""
    n, k, s, border = w.picture[axis], w.kernel[axis], w.stride[axis], w.before[axis]
    low, high = (-border, n + border) if with_padding else (0, n)
    return [min(i * s - border + k, high) - max(i * s - border, low) for i in range(w.out[axis])]


def summands(x: Tensor, count: int, what: str) -> Tensor:
    """x [n, ...] in float64, which is overwritten: each sample rounded onto a grid on which sums of `count` terms are
    exact.
    """
    bits, top = total_bits(count), peaks(x, x.ndim - 1)
    grid = magic(top, min(bits, 51), what) if x.device.type == "cpu" else None
    if grid is not None and bits <= 51:
        return snap(x, grid, x)
    q, e = integers(x, bits, top)
    rounded: Tensor = shift(q, e) + (top - top)
    return rounded


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Windows) -> Tensor:
        border = torch.tensor(LOWEST.get(x.dtype, -torch.inf), dtype=x.dtype, device=x.device)
        first, *others = views(padded(x, w, border), w)
        best, place = first, torch.zeros(first.shape, dtype=torch.int16, device=x.device)
        for i, entry in enumerate(others, 1):
            larger = (entry > best) | (entry != entry)  # a NaN is passed on
            best, place = torch.where(larger, entry, best), torch.where(larger, i, place)
        ctx.save_for_backward(place)
        ctx.windows = w
        return best.contiguous()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        refuse_double_backward()
        (place,), w = ctx.saved_tensors, ctx.windows
        terms = g if w.apart else summands(wide(g), w.entries, "the gradient")
        whole = blank(terms, w)
        for i, entry in enumerate(views(whole, w)):
            entry.add_(torch.where(place == i, terms, 0.0))
        return inside(whole, w).to(g.dtype).contiguous(), None


class _AvgPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Windows, number: Tensor) -> Tensor:
        means = torch.empty(*x.shape[:2], *w.out, dtype=x.dtype, device=x.device)
        for samples, place in parts(x, means):
            terms = summands(wide(samples), w.entries, "the input of a pool")
            sums = padded(terms, w, nothing(terms))
            for axis in (0, 1):
                first, *others = along(sums, w, axis)
                sums = first.clone()
                for entry in others:
                    sums.add_(entry)
            place.copy_(sums.div_(number))
        ctx.save_for_backward(number)
        ctx.windows = w
        return means

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        refuse_double_backward()
        (number,), w = ctx.saved_tensors, ctx.windows
        below = torch.empty(*g.shape[:2], *w.picture, dtype=g.dtype, device=g.device)
        for samples, place in parts(g, below):
            share = wide(samples).div_(number)
            terms = share if w.apart else summands(share, w.entries, "the gradient")
            whole = blank(terms, w)
            rows = terms.new_zeros([*terms.shape[:-1], whole.shape[-1]])
            for entry in along(rows, w, 1):
                entry.add_(terms)
            for entry in along(whole, w, 0):
                entry.add_(rows)
            place.copy_(inside(whole, w))
        return below, None, None
