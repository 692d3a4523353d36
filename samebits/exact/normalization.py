"""BatchNorm1d, BatchNorm2d and LayerNorm: exact sums; everything else is a single operation of float64.

All three normalise rows: a channel over the minibatch, or a sample over its features. With n entries in a row, and sums
on grids of 53 - ceil(log2 n) bits, mean = sum(x) / n, d = x - mean, var = sum(d d) / n, s = sqrt(var + eps) by IEEE's
root, and y = (d / s) weight + bias, rounded to x's type at the end.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, cast

import torch
from torch import Tensor, nn

from .functional import divisor, refuse_double_backward, total
from .guard import finite, whole
from .machine import require_device
from .operands import REAL, require_tensor, size
from .random import root


def real(dtype: torch.dtype | None, what: str) -> torch.dtype:
    """float32 for None. Raises TypeError for what is neither that nor float64."""
    if dtype is not None and dtype not in REAL:
        raise TypeError(f"{what}: dtype is {dtype}, but it must be torch.float32 or torch.float64")
    return dtype or REAL[0]


class _BatchNorm(nn.Module):
    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: torch.device | str | None = None, dtype: torch.dtype | None = None,
        *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features, dtype = whole(num_features, "num_features"), real(dtype, "a batch norm")
        require_device(device or "cpu")
        self.eps, self.momentum, self.affine, self.track_running_stats = eps, momentum, affine, track_running_stats
        zeros = torch.zeros(self.num_features, dtype=dtype, device=device)
        self.weight = nn.Parameter(torch.full_like(zeros, 1.0)) if affine else None
        self.bias = nn.Parameter(zeros.clone()) if affine and bias else None
        for key, value in (("mean", zeros.clone()), ("var", torch.full_like(zeros, 1.0))):
            self.register_buffer(f"running_{key}", value if track_running_stats else None)
        count = torch.zeros((), dtype=torch.int64, device=device)
        self.register_buffer("num_batches_tracked", count if track_running_stats else None)

    def _require(self, x: Tensor) -> None:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x, each channel normalised: in training by its own mean and variance, which the running ones then follow, and
        in evaluation by those.

        Args:
            x: [n, num_features, ...] of the parameters' type.

        Returns:
            The same shape and type.

        Raises:
            ValueError: for another shape, and in training for less than two entries a channel.
            TypeError: for another type.
            NonFinite: for a NaN or an infinity, on a CPU; elsewhere the channel is NaN.
        """
        self._require(x)
        require_type(x, self.weight if self.running_mean is None else self.running_mean)
        rows = x.transpose(0, 1).flatten(1)
        if self.training or self.running_mean is None or self.running_var is None:
            if rows.shape[1] < 2:
                raise ValueError(f"the input is {size(x)}, but training wants more than one value for each channel")
            y, mean, squares = normalised(rows, column(self.weight), column(self.bias), self.eps, None)
            if self.training and self.track_running_stats:
                self._follow(mean, squares, rows.shape[1])
        else:
            known = column(self.running_mean).double(), column(self.running_var).double()
            y, _, _ = normalised(rows, column(self.weight), column(self.bias), self.eps, known)
        return y.view(x.shape[1], x.shape[0], *x.shape[2:]).transpose(0, 1).contiguous()

    @torch.no_grad()
    def _follow(self, mean: Tensor, squares: Tensor, n: int) -> None:
        """Running statistics: r (1 - m) + new m, the variance's new one being sum(d d) / (n - 1)."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        m = 1.0 / self.num_batches_tracked.item() if self.momentum is None else float(self.momentum)
        for running, new in ((self.running_mean, mean), (self.running_var, squares / divisor(n - 1, squares.device))):
            running.copy_((running.double() * (1.0 - m) + new.squeeze(1) * m).to(running.dtype))

    def extra_repr(self) -> str:
        """Sizes, as torch shows them.

        Returns:
            What stands between the brackets.
        """
        said = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{said}, track_running_stats={self.track_running_stats}"


class BatchNorm1d(_BatchNorm):
    """Each feature normalised over the minibatch, as torch.nn.BatchNorm1d (Ioffe and Szegedy 2015, algorithm 1).

    Weight, bias and running statistics have torch's names, types and first values. Running variance is the unbiased
    one, sum(d d) / (n - 1), and normalisation takes the biased one, as there. docs/exact.md, "Other layers", lists the
    roundings.

    Args:
        num_features: the size of the second axis.
        eps: is added to variances.
        momentum: of the running statistics; None for their plain mean over all minibatches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; evaluation takes the minibatch's own without.
        device: where all that is.
        dtype: its type, float32 or float64.
        bias: whether there is a bias beside the weight.

    Attributes:
        weight: [num_features], or None.
        bias: [num_features], or None.
        running_mean: [num_features], or None.
        running_var: [num_features], or None.
        num_batches_tracked: int64, or None.

    Raises:
        ValueError, TypeError: for num_features that are no whole number from 1 on; for another dtype.
        Refused: for a device that is not exact.

    Example:
        >>> exact.BatchNorm1d(1, eps=0.0)(torch.tensor([[1.0], [3.0]])).tolist()
        [[-1.0], [1.0]]
    """

    def _require(self, x: Tensor) -> None:
        require_channels(x, self.num_features, (2, 3))


class BatchNorm2d(_BatchNorm):
    """Each channel normalised over the minibatch and its positions, as torch.nn.BatchNorm2d; else as `BatchNorm1d`.

    Args:
        num_features: channels.
        eps: is added to variances.
        momentum: of the running statistics; None for their plain mean over all minibatches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; evaluation takes the minibatch's own without.
        device: where all that is.
        dtype: its type, float32 or float64.
        bias: whether there is a bias beside the weight.

    Raises:
        As `BatchNorm1d` does.

    Example:
        >>> exact.BatchNorm2d(1, eps=0.0)(torch.tensor([[[[1.0, 3.0]]]])).tolist()
        [[[[-1.0, 1.0]]]]
    """

    def _require(self, x: Tensor) -> None:
        require_channels(x, self.num_features, (4,))


class LayerNorm(nn.Module):
    """Each sample normalised over its last axes, as torch.nn.LayerNorm (Ba, Kiros and Hinton 2016).

    Args:
        normalized_shape: of the last axes, or a number for one.
        eps: is added to variances.
        elementwise_affine: whether there are weight and bias.
        bias: whether there is a bias beside the weight.
        device: where they are.
        dtype: their type, float32 or float64.

    Attributes:
        weight: [*normalized_shape], or None.
        bias: [*normalized_shape], or None.

    Raises:
        ValueError, TypeError: for sizes that are no whole numbers from 1 on, or none; for another dtype.
        Refused: for a device that is not exact.

    Example:
        >>> exact.LayerNorm(2, eps=0.0)(torch.tensor([[1.0, 3.0], [5.0, 1.0]])).tolist()
        [[-1.0, 1.0], [1.0, -1.0]]
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: torch.device | str | None = None, dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, Integral) else tuple(cast(Any, normalized_shape))
        self.normalized_shape = tuple(whole(n, "LayerNorm: normalized_shape") for n in sizes)
        if not sizes:
            raise ValueError("LayerNorm: normalized_shape is (), but must have one axis at least")
        dtype = real(dtype, "LayerNorm")
        require_device(device or "cpu")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        zeros = torch.zeros(self.normalized_shape, dtype=dtype, device=device)
        self.weight = nn.Parameter(torch.full_like(zeros, 1.0)) if elementwise_affine else None
        self.bias = nn.Parameter(zeros) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x, each sample normalised.

        Args:
            x: [..., *normalized_shape], of the parameters' type.

        Returns:
            The same shape and type.

        Raises:
            TypeError, ValueError: for another type or shape.
            NonFinite: for a NaN or an infinity, on a CPU; elsewhere the sample is NaN.
        """
        require_type(x, self.weight)
        axes = len(self.normalized_shape)
        if tuple(x.shape[-axes:]) != self.normalized_shape:
            raise ValueError(f"the input is {size(x)}, but must be [..., {', '.join(map(str, self.normalized_shape))}]")
        rows = x.flatten(x.ndim - axes).flatten(0, -2) if x.ndim > axes else x.reshape(1, -1)
        flat = [None if p is None else p.reshape(1, -1) for p in (self.weight, self.bias)]
        return normalised(rows, flat[0], flat[1], self.eps, None)[0].view(x.shape)

    def extra_repr(self) -> str:
        """Sizes, as torch shows them.

        Returns:
            What stands between the brackets.

        Example:
            >>> exact.LayerNorm(2)
            LayerNorm((2,), eps=1e-05, elementwise_affine=True)
        """
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


def require_channels(x: Tensor, channels: int, axes: tuple[int, ...]) -> None:
    """Raise TypeError or ValueError for what a batch norm does not take."""
    require_tensor(x, "the input")
    if x.ndim not in axes or x.shape[1] != channels:
        wanted = " or ".join(
            f"[n, {channels}{', ...' if n == 3 else ', rows, columns' if n == 4 else ''}]" for n in axes
        )
        raise ValueError(f"the input is {size(x)}, but must be {wanted}")


def require_type(x: Tensor, beside: Tensor | None) -> None:
    """Raise TypeError or ValueError for a type or a device that is not the parameters'."""
    require_tensor(x, "the input")
    if x.dtype not in REAL or (beside is not None and beside.dtype != x.dtype):
        wanted = "torch.float32 or torch.float64" if beside is None else str(beside.dtype)
        raise TypeError(f"the input is {x.dtype}, but must be {wanted}, as the layer is")
    if beside is not None and beside.device != x.device:
        raise ValueError(f"the input is on {x.device}, but the layer on {beside.device}")


def column(x: Tensor | None) -> Any:
    """A number for each row."""
    return None if x is None else x.unsqueeze(1)


def normalised(
    rows: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, known: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, sum of d d) of rows [m, n], normalised by their own statistics or by `known` ones, mean and variance
    [m, 1]; weight and bias are [m, 1] or [1, n].
    """
    mean, squares = statistics(rows.detach()) if known is None else known
    var = squares / divisor(rows.shape[1], rows.device) if known is None else squares
    s = ieee_root(var + eps)
    return cast(Tensor, _Normalise.apply(rows, weight, bias, mean, s, known is None)), mean, squares


def statistics(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, sum of d d) of rows, [m, 1] in float64."""
    x = rows.double()
    mean = total(x, 1, what="the input").unsqueeze(1) / divisor(rows.shape[1], rows.device)
    d = x - mean
    return mean, total(d * d, 1, what="the input").unsqueeze(1)


def ieee_root(x: Tensor) -> Tensor:
    """The square root, correctly rounded; a GPU waits for it."""
    return root(x.cpu()).to(x.device)


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, s: Tensor, own: bool
    ) -> Tensor:
        y = (rows.double() - mean) / s
        if weight is not None:
            y.mul_(weight.double())
        if bias is not None:
            y.add_(bias.double())
        ctx.save_for_backward(rows, weight, mean, s)
        ctx.own, ctx.bias_shape = own, None if bias is None else bias.shape
        z = y.to(rows.dtype)
        return finite(z, "the output") if z.device.type == "cpu" else z

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        rows, weight, mean, s = ctx.saved_tensors
        g = g.double()
        x = (rows.double() - mean) / s
        dw = db = dx = None
        if ctx.needs_input_grad[1]:
            dw = summed(g * x, weight.shape).to(rows.dtype)
        if ctx.needs_input_grad[2]:
            db = summed(g, ctx.bias_shape).to(rows.dtype)
        if ctx.needs_input_grad[0]:
            h = g if weight is None else g * weight.double()
            dx = ((centred(h, x) if ctx.own else h) / s).to(rows.dtype)
        return dx, dw, db, None, None, None


def summed(x: Tensor, shape: torch.Size) -> Tensor:
    """x [m, n] summed exactly to [m, 1] or to [1, n], each sum's terms on a grid of their own."""
    if shape[1] == 1 and shape[0] == x.shape[0]:
        return total(x, 1, what="the gradient").unsqueeze(1)
    return total(x.mT.contiguous(), 1, what="the gradient").unsqueeze(0)


def centred(h: Tensor, x: Tensor) -> Tensor:
    """(h - mean(h)) - x mean(h x), the gradient through the statistics of a row x that is normalised."""
    n = divisor(h.shape[1], h.device)
    first, second = (total(t, 1, what="the gradient").unsqueeze(1) / n for t in (h, h * x))
    return (h - first) - x * second
