"""Conv2d: patches and exact products, in either arithmetic."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from .functional import divisor, refuse_double_backward, total
from .grid import INTEGERS, peaks
from .guard import NonFinite, Refused, finite, product_bits, whole
from .integers import convolution as on_integers
from .machine import require_device
from .operands import REAL, require_tensor, share
from .product import product
from .random import uniform
from .windows import Pair, Windows, added, nothing, padded, pair, require_pictures, size_of, views, windows

MODES = ("zeros", "reflect", "replicate", "circular")  # torch.nn's; all but the first are refused


class Conv2d(nn.Module):
    """Cross-correlation of pictures with windows of weights, exactly summed, as torch.nn.Conv2d.

    out[n, m] = bias[m] + the sum over a window of x[n] * weight[m] (Goodfellow, Bengio and Courville, Deep Learning,
    9.1). In float32 it trains on integers (docs/exact.md, "Other layers"); in float64 products keep what sums
    of so many terms leave. Weight and bias start uniform on +-1/sqrt(fan_in), fan_in = in_channels / groups * kernel,
    as torch's do, and are functions of seed and tag alone.

    Args:
        in_channels: of x.
        out_channels: of the output; a multiple of `groups`, as the other is.
        kernel_size: rows and columns of a window, or a number for both.
        stride: from one window to the next.
        padding: zeros around the picture; "valid" for none, "same" for an output as large as the picture.
        dilation: from one entry of a window to the next.
        groups: of channels that are convolved by themselves.
        bias: whether there is one.
        padding_mode: "zeros"; torch's others are refused.
        device: where the parameters are.
        dtype: float32 trains on 8-bit integers; float64 is computed as finely as sums in float64 allow.
        seed: of the first weights.
        tag: the layer's name, also in errors: give every layer of a model its own.
        levels: what integer inputs (uint8 pixels) are shares of.

    Attributes:
        weight: [out_channels, in_channels / groups, *kernel_size] of that type.
        bias: [out_channels], or None.

    Raises:
        ValueError: for what torch.nn.Conv2d refuses, for sizes below 1 and other levels.
        TypeError: for sizes that are no whole numbers, and another dtype.
        Refused: for a padding_mode that is not "zeros", for sums too long for 53 bits, and for a device that is not
            exact.

    Example:
        >>> layer = exact.Conv2d(1, 2, 3, padding=1, seed=0, tag="first")
        >>> layer(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 2, 8, 8])
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | Pair, stride: int | Pair = 1,
        padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: torch.device | str | None = None, dtype: torch.dtype | None = None, *,
        seed: int = 0, tag: str = "conv2d", levels: float = 255.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_channels = whole(in_channels, f"{tag}: in_channels")
        self.out_channels = whole(out_channels, f"{tag}: out_channels")
        self.groups = whole(groups, f"{tag}: groups")
        for channels, name in ((in_channels, "in_channels"), (out_channels, "out_channels")):
            if channels % groups:
                raise ValueError(f"{tag}: {name} {channels} must be divisible by groups {groups}")
        self.kernel_size, self.stride = pair(kernel_size, f"{tag}: kernel_size", 1), pair(stride, f"{tag}: stride", 1)
        self.dilation = pair(dilation, f"{tag}: dilation", 1)
        self.padding = padding if isinstance(padding, str) else pair(padding, f"{tag}: padding", 0)
        self.before, self.after = borders(self.padding, self.kernel_size, self.stride, self.dilation, tag)
        if padding_mode not in MODES:
            raise ValueError(f"{tag}: padding_mode is {padding_mode!r}, but must be one of {', '.join(MODES)}")
        if padding_mode != "zeros":
            raise Refused(f"{tag}: padding_mode {padding_mode!r} is not there in exact arithmetic: use 'zeros'")
        self.padding_mode, self.seed, self.tag, self.levels = padding_mode, seed, tag, levels
        dtype = REAL[0] if dtype is None else dtype
        if dtype not in REAL:
            raise TypeError(f"{tag}: dtype is {dtype}, but it must be torch.float32 or torch.float64")
        require_device(device or "cpu")
        share(levels)
        shape = (self.out_channels, self.in_channels // groups, *self.kernel_size)
        fan_in = shape[1] * shape[2] * shape[3]
        product_bits(fan_in, what=f"{tag}: a product over windows of {fan_in} entries")
        self.weight = nn.Parameter(uniform(shape, seed, f"{tag}.weight", fan_in).to(device, dtype))
        first = uniform(shape[:1], seed, f"{tag}.bias", fan_in)
        self.bias = nn.Parameter(first.to(device, dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x.

        Args:
            x: [n, in_channels, rows, columns], or [in_channels, rows, columns], of the weight's type or 8-bit integers,
                which stand for x / levels.

        Returns:
            [n, out_channels, rows, columns] (or without n) of the weight's type: along an axis (size + padding on both
            sides - dilation (kernel - 1) - 1) // stride + 1. Gradients on the grids of docs/exact.md.

        Raises:
            TypeError, ValueError: for another type or shape, and a picture smaller than a window; with the tag.
            NonFinite: for a NaN or an infinity, on a CPU; elsewhere the result is NaN.
        """
        try:
            require_operands(x, self.weight, self.bias)
            pictures = require_pictures(x, self.in_channels)
            picture = (pictures.shape[2], pictures.shape[3])
            w = windows(picture, self.kernel_size, self.stride, self.dilation, self.before, self.after)
            each = wide if self.weight.dtype == torch.float64 else on_integers.conv2d
            z = each(pictures, self.weight, self.bias, w, self.groups, self.levels)
        except NonFinite as error:
            if "entry" in error.place:  # groups lie where a product has its batch
                error.place["group"] = error.place.pop("entry")
            error.place.setdefault("layer", self.tag)
            raise
        except (TypeError, ValueError) as error:
            error.args = (f"{self.tag}: {error}",)
            raise
        return z if x.ndim == 4 else z.squeeze(0)

    def extra_repr(self) -> str:
        """Sizes and tag, as torch shows a layer's.

        Returns:
            What stands between the brackets.

        Example:
            >>> exact.Conv2d(1, 2, 3, tag="first")
            Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), tag='first')
        """
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        others: tuple[tuple[str, object, object], ...] = (
            ("padding", self.padding, (0, 0)), ("dilation", self.dilation, (1, 1)), ("groups", self.groups, 1),
            ("bias", self.bias is not None, True),
        )  # fmt: skip
        return ", ".join([said, *(f"{k}={v!r}" for k, v, usual in others if v != usual), f"tag={self.tag!r}"])


def borders(padding: Pair | str, kernel: Pair, stride: Pair, dilation: Pair, tag: str) -> tuple[Pair, Pair]:
    """Zeros before and behind each axis. Raises ValueError as torch.nn.Conv2d does."""
    if not isinstance(padding, str):
        return padding, padding
    if padding not in ("same", "valid"):
        raise ValueError(f"{tag}: padding is {padding!r}, but must be 'same', 'valid' or numbers")
    if padding == "valid":
        return (0, 0), (0, 0)
    if stride != (1, 1):
        raise ValueError(f"{tag}: padding 'same' with a stride of {size_of(stride)}: only a stride of 1 keeps a size")
    missing = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    before = (missing[0] // 2, missing[1] // 2)
    return before, (missing[0] - before[0], missing[1] - before[1])


def require_operands(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise TypeError or ValueError for types and devices that do not go together."""
    require_tensor(x, "the input")
    for parameter in (weight, *(() if bias is None else (bias,))):
        if parameter.dtype not in REAL or parameter.dtype != weight.dtype:
            raise TypeError(f"a parameter is {parameter.dtype}, but all must be float32 or all float64")
        if x.device != parameter.device:
            raise ValueError(f"the input is on {x.device}, but a parameter on {parameter.device}")
    if x.dtype != weight.dtype and x.dtype not in INTEGERS:
        raise TypeError(f"the input is {x.dtype}, but the weight {weight.dtype}: give the same type, or uint8 pixels")


def wide(x: Tensor, weight: Tensor, bias: Tensor | None, w: Windows, groups: int, levels: float) -> Tensor:
    """In float64: one exact product of the weight, on one grid, and patches, each sample on a grid of its own."""
    return cast(Tensor, _Wide.apply(x, weight, bias, w, groups, levels))


class _Wide(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, w: Windows, groups: int, levels: float
    ) -> Tensor:
        entries = torch.stack(list(views(padded(x.transpose(0, 1), w, nothing(x)), w)), 1)
        positions = len(x) * w.out[0] * w.out[1]
        patches = entries.view(groups, x.shape[1] // groups * w.entries, positions)
        rows = weight.view(groups, len(weight) // groups, -1)
        x_top = at_each(peaks(x, 3), w) if x.is_floating_point() else None
        z = product(rows, patches, peaks(weight.flatten(), 1), x_top, names=("the weight", "the input"))
        if not x.is_floating_point() and levels != 1:
            z.div_(divisor(levels, z.device))
        if bias is not None:
            z.add_(bias.view(groups, -1, 1))
        if z.device.type == "cpu":
            finite(z, "the output")
        ctx.save_for_backward(patches, weight)
        ctx.windows, ctx.levels = w, levels
        return z.view(len(weight), len(x), *w.out).transpose(0, 1).contiguous()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        patches, weight = ctx.saved_tensors
        w, groups = ctx.windows, len(patches)
        rows = g.transpose(0, 1).reshape(groups, len(weight) // groups, patches.shape[2])
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = _below(rows, at_each(peaks(g, 3), w), weight, len(g), w)
        db = total(g.transpose(0, 1).flatten(1), -1, what="the gradient") if ctx.needs_input_grad[2] else None
        if ctx.needs_input_grad[1]:
            if not patches.is_floating_point() and ctx.levels != 1:
                rows = rows / divisor(ctx.levels, g.device)
            dw = product(rows, patches.mT, names=("the gradient", "the input")).view(weight.shape)
        return dx, dw, db, None, None, None


def _below(g: Tensor, top: Tensor, weight: Tensor, n: int, w: Windows) -> Tensor:
    """The gradient for the layer below, of g [groups, m, n l] with the samples' maxima. A sample's patches are on one
    grid, with bits left for the sums over windows too, so adding them up is exact.
    """
    groups, m, _ = g.shape
    left = weight.view(groups, m, -1).mT
    sums = product(
        left, g, peaks(weight.flatten(), 1), top, m * w.entries, names=("the weight", "the gradient")
    )  # [groups, k, n l]
    patches = sums.view(groups * left.shape[1] // w.entries, w.entries, n, *w.out)
    return added(patches, w).transpose(0, 1).contiguous()


def at_each(per_sample: Tensor, w: Windows) -> Tensor:
    """[1, 1, n l] of what each sample has, [n, 1, 1, 1]."""
    return per_sample.view(-1, 1).expand(-1, w.out[0] * w.out[1]).reshape(1, 1, -1)
