"""BatchNorm1d, BatchNorm2d and LayerNorm: exact sums; everything else is a single operation of float64.

All three normalise rows: a channel over the minibatch, or a sample over its features. With n entries in a row, and sums
on grids of 53 - ceil(log2 n) bits, mean = sum(x) / n, d = x - mean, var = sum(d d) / n, s = sqrt(var + eps) by IEEE's
root, and y = (d / s) weight + bias, rounded to x's type at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any, cast

import torch
from torch import Tensor, nn

from .elementary import shift
from .functional import divisor, refuse_double_backward
from .grid import exponents, integers, magic, snap, total_bits
from .guard import finite, whole
from .integers import passes
from .machine import require_device
from .operands import REAL, require_tensor, size
from .parts import parts, wide
from .random import root

Pairs = Iterator[tuple[Tensor, Tensor]]


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
        rows = x.flatten(2) if x.ndim > 2 else x.unsqueeze(2)  # x[:, i] are a channel's
        affine = along_channels(self.weight), along_channels(self.bias)
        if self.training or self.running_mean is None or self.running_var is None:
            if (n := rows.shape[0] * rows.shape[2]) < 2:
                raise ValueError(f"the input is {size(x)}, but training wants more than one value for each channel")
            y, mean, squares = normalised(rows, *affine, self.eps, None)
            if self.training and self.track_running_stats:
                self._follow(mean.flatten(), squares.flatten(), n)
        else:
            known = along_channels(self.running_mean).double(), along_channels(self.running_var).double()
            y, _, _ = normalised(rows, *affine, self.eps, known)
        return y.view(x.shape)

    @torch.no_grad()
    def _follow(self, mean: Tensor, squares: Tensor, n: int) -> None:
        """Running statistics: r (1 - m) + new m, the variance's new one being sum(d d) / (n - 1)."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        m = 1.0 / self.num_batches_tracked.item() if self.momentum is None else float(self.momentum)
        for running, new in ((self.running_mean, mean), (self.running_var, squares / divisor(n - 1, squares.device))):
            running.copy_((running.double() * (1.0 - m) + new * m).to(running.dtype))

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
        flat = [None if p is None else p.reshape(1, 1, -1) for p in (self.weight, self.bias)]
        return normalised(rows.unsqueeze(0), flat[0], flat[1], self.eps, None)[0].view(x.shape)

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


def along_channels(x: Tensor | None) -> Any:
    """[1, m, 1] of a number for each channel."""
    return None if x is None else x.view(1, -1, 1)


def normalised(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, known: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, sum of d d) of the m rows x[:, i] of x [a, m, l], normalised by their own statistics or by `known`
    ones, mean and variance [1, m, 1]; weight and bias are [1, m, 1] or [1, 1, l].
    """
    x = x.contiguous()
    mean, squares = statistics(x.detach()) if known is None else known
    var = squares / divisor(x.shape[0] * x.shape[2], x.device) if known is None else squares
    s = ieee_root(var + eps)
    return cast(Tensor, _Normalise.apply(x, weight, bias, mean, s, known is None)), mean, squares


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, sum of d d) of rows, [1, m, 1] in float64."""
    n, shape = x.shape[0] * x.shape[2], torch.Size([1, x.shape[1], 1])
    low, high = (t.double() for t in extremes(x, shape))
    mean = deviations(x, torch.zeros_like(low), False, larger(low, high)) / divisor(n, x.device)
    top = larger(low - mean, high - mean)  # of d, for rounding keeps an order; and so of d d
    return mean, deviations(x, mean, True, top * top)


def deviations(x: Tensor, mean: Tensor, squared: bool, top: Tensor) -> Tensor:
    """The sum of d = x - mean, or of d d, whose greatest magnitude is `top`, over each row of x."""
    total, compiled = Total(top, x.shape[0] * x.shape[2], "the input"), kernels(x)
    if compiled is not None and total.grid is not None:
        compiled.deviations(x, mean, squared, total)
        return total.sum
    for (part,) in parts(x):
        d = wide(part).sub_(mean)
        total.include(d.mul_(d) if squared else d)
    return total.value()


def kernels(*tensors: Tensor) -> Any:
    """The compiled passes, where `prepare` has asked for them and they fit: they are float32's; else None."""
    fast = passes.compiled(tensors[0].device)
    fits = fast is not None and all(x.dtype == REAL[0] and x.numel() for x in tensors)
    return fast.NORMALISED if fits else None


def ieee_root(x: Tensor) -> Tensor:
    """The square root, correctly rounded; a GPU waits for it."""
    return root(x.cpu()).to(x.device)


def extremes(x: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """The least and the largest entry over each axis that is one of `shape`; 0 of nothing."""
    axes = [i for i, n in enumerate(shape) if n == 1]
    return (x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)) if x.numel() else (x.new_zeros(shape),) * 2


def larger(low: Tensor, high: Tensor) -> Tensor:
    """The greatest magnitude between two extremes."""
    return torch.maximum(high, -low)


class Total:
    """`functional.total` of what comes part by part: over each axis that `top`, the terms' maxima, has one entry of."""

    def __init__(self, top: Tensor, count: int, what: str) -> None:
        self.top, self.bits, self.sum = top, total_bits(count), torch.zeros_like(top)
        self.axes = [i for i, n in enumerate(top.shape) if n == 1]
        grid = magic(top, min(self.bits, 51), what) if top.device.type == "cpu" else None
        self.grid = grid if self.bits <= 51 else None

    def include(self, x: Tensor) -> None:
        """Add the terms x."""
        q = integers(x, self.bits, self.top)[0] if self.grid is None else snap(x, self.grid)
        self.sum.add_(q.sum(self.axes, keepdim=True))

    def value(self) -> Tensor:
        """What they make."""
        if self.grid is not None:
            return self.sum
        scaled: Tensor = shift(self.sum, exponents(self.top, self.bits)) + (self.top - self.top)
        return scaled


TERMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "g X": lambda g, X, h: g * X, "g": lambda g, X, h: g, "h": lambda g, X, h: h, "h X": lambda g, X, h: h * X,
}  # fmt: skip


def summed(
    each: Callable[[], Pairs], w: Tensor | None, shapes: dict[str, torch.Size], entries: int
) -> dict[str, Tensor]:
    """The exact sums, of these shapes, of TERMS of all parts (g, X) that `each` goes through; h is g w."""

    def terms() -> Iterator[tuple[str, Tensor]]:
        for g, X in each() if shapes else ():
            h = g if w is None else g * w
            yield from ((name, TERMS[name](g, X, h)) for name in shapes)

    tops: dict[str, Tensor] = {}
    for name, x in terms():
        top = larger(*extremes(x, shapes[name]))
        tops[name] = torch.maximum(tops[name], top) if name in tops else top
    totals = {name: Total(top, entries // max(1, top.numel()), "the gradient") for name, top in tops.items()}
    for name, x in terms():
        totals[name].include(x)
    return {name: total.value() for name, total in totals.items()}


def summed_at_once(compiled: Any, g: Tensor, x: Tensor, mean: Tensor, s: Tensor, w: Tensor) -> dict[str, Tensor] | None:
    """All of TERMS summed over rows by compiled passes, or None where a grid is beyond them."""
    top = larger(*(t.double() for t in extremes(g, mean.shape)))
    of_g, of_h = compiled.tops(g, x, mean, s, w)
    tops = {"g X": of_g, "g": top, "h": top * w.abs(), "h X": of_h}  # h = g w, and rounding keeps an order
    totals = {name: Total(tops[name], x.shape[0] * x.shape[2], "the gradient") for name in TERMS}
    if any(total.grid is None for total in totals.values()):
        return None
    compiled.sums(g, x, mean, s, w, list(totals.values()))
    return {name: total.sum for name, total in totals.items()}


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, s: Tensor, own: bool
    ) -> Tensor:
        z, compiled = torch.empty_like(x), kernels(x)
        by_row = all(p is None or p.shape == mean.shape for p in (weight, bias))
        if compiled is not None and by_row:
            compiled.normalise(x, weight, bias, mean, s, z)
        for place, part in () if compiled is not None and by_row else parts(z, x):
            y = wide(part).sub_(mean).div_(s)
            if weight is not None:
                y.mul_(weight.double())
            if bias is not None:
                y.add_(bias.double())
            place.copy_(y)
        ctx.save_for_backward(x, weight, mean, s)
        ctx.own, ctx.bias_shape = own, None if bias is None else bias.shape
        return finite(z, "the output") if z.device.type == "cpu" else z

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        x, weight, mean, s = ctx.saved_tensors
        w = None if weight is None else weight.double()
        dw = db = dx = None
        g = g.contiguous()

        def each() -> Pairs:
            for upstream, part in parts(g, x):
                yield wide(upstream), wide(part).sub_(mean).div_(s)

        # What is summed, and to which shape. h is the gradient for X.
        shapes: dict[str, torch.Size] = {}
        if ctx.needs_input_grad[1]:
            shapes["g X"] = weight.shape
        if ctx.needs_input_grad[2]:
            shapes["g"] = ctx.bias_shape
        if ctx.needs_input_grad[0] and ctx.own:
            shapes["h"] = shapes["h X"] = mean.shape
        # Compiled passes make all of the sums at once, of rows.
        compiled = kernels(x, g) if list(shapes) == list(TERMS) and weight.shape == mean.shape else None
        given: Any = g, x, mean, s, w
        sums = None if compiled is None else summed_at_once(compiled, *given)
        if sums is None:
            sums = summed(each, w, shapes, x.numel())
        if ctx.needs_input_grad[0]:
            dx = torch.empty_like(x)
            n = divisor(x.shape[0] * x.shape[2], x.device)
            first, second = (sums[name] / n if ctx.own else None for name in ("h", "h X"))
            if compiled is not None:
                compiled.below(*given, first, second, dx)
            for (place,), (h, X) in () if compiled is not None else zip(parts(dx), each(), strict=True):
                if w is not None:
                    h.mul_(w)
                if first is not None and second is not None:  # through the row's statistics
                    h.sub_(first).sub_(X.mul_(second))
                place.copy_(h.div_(s))
        dw, db = (sums[name].to(x.dtype) if name in shapes else None for name in ("g X", "g"))
        return dx, dw, db, None, None, None
