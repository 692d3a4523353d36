"""Functions of tensors with torch's autograd; every rounding is listed, so that a hand can repeat it.

All take float64. `linear`, `weight_gradient`, `bias_gradient` and `cross_entropy` take float32 too, which trains on
8-bit integers (`samebits.exact.integers`): a model's type says how finely it is computed, so model.double() is judged
by float64's products.

Shapes: leading axes are batches (say, seeds); each entry has grids of its own, so what is computed beside it
changes none of its bits. Zeros have either sign; nothing here can tell them apart and `digest` does not.
"""

from functools import lru_cache
from typing import Any, Literal, cast

import torch
from torch import Tensor

from . import elementary
from .elementary import shift
from .grid import integers, magic, peaks, snap, total_bits
from .guard import NonFinite, Refused, finite
from .integers import functional as on_integers
from .integers import passes
from .operands import (
    axis,
    of_bias_gradient,
    of_cross_entropy,
    of_linear,
    of_matmul,
    of_weight_gradient,
    require_classes,
    require_float64,
)  # fmt: skip
from .product import Peak, product

Reduction = Literal["mean", "sum", "none"]
F32 = torch.float32
LN2 = float.fromhex("0x1.62e42fefa39efp-1")


@lru_cache(256)
def divisor(value: float, device: torch.device) -> Tensor:
    """A divisor: a float64 tensor, since a GPU divides by a Python number through its rounded reciprocal."""
    with torch.inference_mode(False):  # it outlives that mode, which its tensors would not
        return torch.tensor(value, dtype=torch.float64, device=device)


def divide(x: Tensor, n: float) -> Tensor:
    """x / n by a number, rounded once.

    On a CPU `x / n` is the same. A GPU multiplies by the rounded reciprocal of a number, but divides by a tensor.

    Args:
        x: float64 of any shape.
        n: the divisor, a number.

    Returns:
        float64 like x. Gradient: g / n.

    Raises:
        TypeError: for another type.

    Example:
        >>> exact.divide(torch.tensor([1.0, 2.0], dtype=torch.float64), 3).tolist()
        [0.3333333333333333, 0.6666666666666666]
    """
    return require_float64(x, "the dividend") / divisor(float(n), x.device)


def refuse_double_backward() -> None:
    """Refuse create_graph=True: the roundings have no second derivative (and a check by torch costs 10 us)."""
    if torch.is_grad_enabled():
        raise Refused("exact gradients have no gradient of their own: create_graph is not supported")


def matmul(
    a: Tensor, b: Tensor, *, a_peak: float | Tensor | None = None, b_peak: float | Tensor | None = None,
    terms: int | None = None,
) -> Tensor:  # fmt: skip
    """a @ b with exact products, summed exactly.

    Each real operand is rounded once, half to even, onto a power-of-two grid with p bits: (53 - ceil(log2 k)) // 2
    each for two real ones, 45 - ceil(log2 k) for one beside an integer. The products and their sum are exact.

    To compute part of a longer sum (a worker's share of a batch), give `terms` and the peaks of the whole: the parts'
    results then add up exactly, in any order, to the whole's.

    Args:
        a: [..., m, k], float64, or uint8, int8 or bool taken as integers.
        b: [..., k, n], of the same types; the leading axes broadcast.
        a_peak: max|a| over all parts: a number, [..., 1, 1] for each batch entry, or [..., m, 1] for each row of a.
            What has a peak of its own has a grid of its own; by default each batch entry has.
        b_peak: max|b| likewise, or [..., 1, n] for each column of b.
        terms: the length of the whole sum; k by default.

    Returns:
        float64 [..., m, n]. Gradients are exact products of the same kind.

    Raises:
        Refused: if fewer than 16 bits would be left to a real operand, or a peak or `terms` is too small.
        TypeError: for another type, float32 for one.
        ValueError: for shapes that do not fit.
        NonFinite: for a NaN or an infinity, on a CPU; elsewhere the result is NaN.

    Example:
        >>> a = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64)
        >>> exact.matmul(a, a.T).item() == exact.matmul(a.flip(1), a.flip(1).T).item()  # in any order
        True
    """
    of_matmul(a, b)
    for x, top, name in ((a, a_peak, "a_peak"), (b, b_peak, "b_peak")):
        if top is not None and bool(
            (x.detach().double().abs() > torch.as_tensor(top, dtype=torch.float64, device=x.device)).any()
        ):
            raise Refused(f"{name} is below the operand's own maximum")
    if terms is not None and terms < a.shape[-1]:
        raise Refused(f"terms {terms} is below the operands' own {a.shape[-1]}")
    return cast(Tensor, _Matmul.apply(a, b, a_peak, b_peak, terms))


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, a_peak: Peak, b_peak: Peak, terms: int | None) -> Tensor:
        ctx.save_for_backward(a, b)
        return product(a, b, a_peak, b_peak, terms)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        refuse_double_backward()
        a, b = ctx.saved_tensors
        wanted = [x for x, needed in zip((a, b), ctx.needs_input_grad[:2], strict=True) if needed]
        if any(x.shape[:-2] != g.shape[:-2] for x in wanted):
            raise Refused("a gradient for a matrix shared by a batch is not defined: give each entry its own")
        return (
            product(g, b.mT) if ctx.needs_input_grad[0] else None,
            product(a.mT, g) if ctx.needs_input_grad[1] else None,
            None, None, None,
        )  # fmt: skip


def total(x: Tensor, dim: int, top: Peak = None, count: int | None = None, what: str = "a sum") -> Tensor:
    """`sum` without autograd."""
    dim %= x.ndim
    bits = total_bits(count or x.shape[dim])
    most = peaks(x, x.ndim - dim) if top is None else torch.as_tensor(top, dtype=torch.float64, device=x.device)
    grid = magic(most, min(bits, 51), what) if x.device.type == "cpu" else None
    if grid is not None and bits <= 51:
        return snap(x, grid).sum(dim)
    q, e = integers(x, bits, most)
    result: Tensor = (shift(q.sum(dim, keepdim=True), e) + (most - most)).squeeze(dim)
    return result


def sum(x: Tensor, dim: int = -1, *, peak: float | Tensor | None = None, count: int | None = None) -> Tensor:
    """Exact sum over one axis, on a grid with 53 - ceil(log2 count) bits for every term.

    The axes left of `dim` are batches with grids of their own; `dim` and the axes right of it share one.

    Args:
        x: float64 of any shape.
        dim: the axis to sum over.
        peak: for a part of a longer sum, max|x| over all parts, which then add up exactly.
        count: for a part of a longer sum, the length of the whole.

    Returns:
        float64 without the axis `dim`. Gradient: g for every term.

    Raises:
        TypeError: for another type; integers have torch.sum.
        ValueError: if there is no such axis.
        Refused: if `peak` or `count` is too small.
        NonFinite: for a NaN or an infinity, on a CPU; elsewhere the result is NaN.

    Example:
        >>> x = torch.tensor([0.1, 0.2, 0.3, 1e16, -1e16], dtype=torch.float64)
        >>> exact.sum(x, 0).item() == exact.sum(x.flip(0), 0).item()
        True
    """
    require_float64(x, "a tensor to sum")
    dim = axis(x, dim)
    if peak is not None and bool(
        (x.detach().abs() > torch.as_tensor(peak, dtype=torch.float64, device=x.device)).any()
    ):
        raise Refused("peak is below the tensor's own maximum")
    if count is not None and count < x.shape[dim]:
        raise Refused(f"count {count} is below the tensor's own {x.shape[dim]}")
    return cast(Tensor, _Sum.apply(x, dim, peak, count))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, top: Peak, count: int | None) -> Tensor:
        ctx.dim, ctx.shape = dim, x.shape
        return total(x, dim, top, count)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        refuse_double_backward()
        return g.unsqueeze(ctx.dim).expand(ctx.shape), None, None, None


class _Exp2(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        y = elementary.exp2(t)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        refuse_double_backward()
        (y,) = ctx.saved_tensors
        return cast(Tensor, g * (y * LN2))


class _Log(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return elementary.log(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        refuse_double_backward()
        (x,) = ctx.saved_tensors
        return cast(Tensor, g / x)


def exp2(t: Tensor) -> Tensor:
    """2^t, relative error below 2^-38.

    Args:
        t: float64 of any shape; NaN stays NaN.

    Returns:
        float64 like t. Gradient: g * (2^t * ln 2).

    Raises:
        TypeError: for another type.

    Example:
        >>> exact.exp2(torch.tensor([-1.0, 0.5], dtype=torch.float64)).tolist()
        [0.5, 1.4142135623714829]
    """
    return cast(Tensor, _Exp2.apply(require_float64(t, "the exponent")))


def exp(d: Tensor) -> Tensor:
    """e^d for d <= 0 in multiples of 2^-40, softmax's numerators: `sum` adds them exactly.

    Args:
        d: float64 of any shape, at most 0: take the row's maximum off first.

    Returns:
        float64 like d. No gradient passes through.

    Raises:
        TypeError: for another type.
        Refused: for a d above 0, on a CPU.

    Example:
        >>> exact.exp(torch.tensor([0.0, -1.0], dtype=torch.float64)).tolist()
        [1.0, 0.3678794411707713]
    """
    d = require_float64(d, "the exponent").detach()
    if d.device.type == "cpu" and bool((d > 0).any()):
        raise Refused("exp takes numbers up to 0: subtract the row's maximum first")
    return elementary.softmax_numerators(d).mul_(2.0**-40)


def log(x: Tensor) -> Tensor:
    """Natural logarithm, within 2 units of the last place; -inf at 0, NaN below.

    Args:
        x: float64 of any shape.

    Returns:
        float64 like x. Gradient: g / x.

    Raises:
        TypeError: for another type.

    Example:
        >>> exact.log(torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)).tolist()
        [0.0, 0.6931471805599453, -inf]
    """
    return cast(Tensor, _Log.apply(require_float64(x, "the number")))


def softmax_terms(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(d, e, s) of logits z [..., classes]: d = z - rowmax, e = round(2^40 exp d), s = sum e, an integer."""
    require_float64(z, "a tensor of logits")
    require_classes(z)
    d = z - z.amax(-1, keepdim=True)
    e = elementary.softmax_numerators(d)
    s = e.sum(-1, keepdim=True)
    if z.device.type != "cpu":
        return d, e, s + d.amin(-1, keepdim=True) * 0.0  # an infinity becomes a NaN
    if d.numel() and not d.amin().item() > -torch.inf:
        raise NonFinite("the logits")
    return d, e, s


def log_total(s: Tensor) -> Tensor:
    """log of a row sum s of `softmax_terms`, its 2^40 taken out first (exactly)."""
    return elementary.log(s * 2.0**-40)


def softmax(z: Tensor) -> Tensor:
    """Probabilities over the last axis: p = e / s, with (d, e, s) = softmax_terms(z).

    Args:
        z: logits, float64 [..., classes], at most 8192 classes.

    Returns:
        float64 like z. Gradient: p * (g - sum(g * p)).

    Raises:
        TypeError: for another type.
        Refused: for more classes.
        NonFinite: for a NaN or an infinity, on a CPU; elsewhere the row is NaN.

    Example:
        >>> exact.softmax(torch.tensor([1.0, 1.0, 1.0, 1.0], dtype=torch.float64)).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    return cast(Tensor, _Softmax.apply(z))


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        _, e, s = softmax_terms(z)
        p = e.div_(s)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        refuse_double_backward()
        (p,) = ctx.saved_tensors
        return cast(Tensor, p * (g - total(g * p, -1).unsqueeze(-1)))


def log_softmax(z: Tensor) -> Tensor:
    """Logarithms of the probabilities: d - log(s / 2^40) over the last axis, with (d, e, s) = softmax_terms(z).

    Args:
        z: logits, float64 [..., classes].

    Returns:
        float64 like z. Gradient: g - p * sum(g).

    Raises:
        As `softmax` does.

    Example:
        >>> exact.log_softmax(torch.tensor([0.0, 0.0], dtype=torch.float64)).tolist()
        [-0.6931471805599453, -0.6931471805599453]
    """
    return cast(Tensor, _LogSoftmax.apply(z))


class _LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        d, e, s = softmax_terms(z)
        ctx.save_for_backward(e.div_(s))
        return d.sub_(log_total(s))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        refuse_double_backward()
        (p,) = ctx.saved_tensors
        return cast(Tensor, g - p * total(g, -1).unsqueeze(-1))


def cross_entropy(
    logits: Tensor, labels: Tensor, reduction: Reduction = "mean", *, weight: Tensor | None = None,
    ignore_index: int = -100, label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Cross entropy of logits and labels, in nats.

    Each row's loss is log(s / 2^40) - d[label], with (d, e, s) = softmax_terms(logits). A weight w multiplies it by
    w[label]. With a label_smoothing a, that is multiplied by 1 - a, and the exact sum of (log(s / 2^40) - d) * w over
    the classes times (a / classes) is added.

    Args:
        logits: float64 [..., n, classes], or float32, taken as float64.
        labels: integers [..., n].
        reduction: "none" for each row's loss; "sum" for their exact sum over n, "mean" for that sum / n, both leaving
            the leading axes, so that seeds stay apart. The mean is / the exact sum of w[label] where there is a weight.
        weight: of each class, float64 or float32 [classes].
        ignore_index: the label of rows that do not count: their loss and gradient are 0, and n is the number of others.
        label_smoothing: the share of a row, from 0 to 1, that is shared by all classes.

    Returns:
        float64 [..., n] for "none", else [...]. Gradient: p - onehot(label) (p = e / s, one subtraction), / n for the
        mean, for float32 logits rounded to float32, then times the upstream gradient. With a weight or a smoothing
        p * t - u in place of p - onehot(label), with u = w * (a / classes), at the label + w[label] * (1 - a), and
        t = w[label] * (1 - a) + sum(w) * (a / classes).

    Raises:
        As `softmax` does; ValueError for labels that are no integers, of another shape or no class, for the mean of no
        rows or of rows without weight, for another reduction, and for a weight or smoothing that is none.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
        >>> exact.cross_entropy(logits, torch.tensor([0, 1])).item()
        0.6931471805599454
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, but it must be mean, sum or none")
    counted = of_cross_entropy(logits, labels, weight, ignore_index, label_smoothing)
    if reduction == "mean" and not logits.shape[-2]:
        raise ValueError(f"the logits are {list(logits.shape)}: no rows have no mean")
    if weight is None and counted is None and not label_smoothing:
        return cast(Tensor, _CrossEntropy.apply(logits, labels, reduction))
    if counted is None:
        counted = torch.full_like(labels, True, dtype=torch.bool)
    if weight is None:
        weight = torch.full(logits.shape[-1:], 1.0, dtype=torch.float64, device=logits.device)
    return cast(Tensor, _Weighted.apply(logits, labels, counted, weight.detach().double(), label_smoothing, reduction))


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, labels: Tensor, reduction: Reduction) -> Tensor:
        ctx.reduction, ctx.dtype = reduction, z.dtype
        few = z.shape[-2] <= 2  # of which a sum takes more bits
        if not few and z.dtype == F32 and reduction == "mean" and (fast := passes.compiled(z.device, *z.shape)):
            mean, gap = fast.mean_loss(z, labels)
            ctx.save_for_backward(gap)
            ctx.reduction = "divided"
            return cast(Tensor, mean)
        index = labels.long().unsqueeze(-1)
        d, e, s = softmax_terms(z.double() if z.dtype == F32 else z)
        losses = (log_total(s) - d.gather(-1, index)).squeeze(-1)
        if ctx.needs_input_grad[0]:
            p = e.div_(s)
            ctx.save_for_backward(p.scatter_(-1, index, p.gather(-1, index).sub_(1.0)))
        if reduction == "none":
            return losses
        result = total(losses, -1)
        return result if reduction == "sum" else result / divisor(labels.shape[-1], z.device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        refuse_double_backward()
        (gap,) = ctx.saved_tensors
        if ctx.reduction == "mean":
            gap = gap / divisor(gap.shape[-2], gap.device)
        upstream = g.unsqueeze(-1) if ctx.reduction == "none" else g[..., None, None]
        return gap.to(ctx.dtype) * upstream.to(ctx.dtype), None, None


class _Weighted(torch.autograd.Function):
    """`_CrossEntropy` of rows of which some do not count, with a weight for each class, smoothed."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, labels: Tensor, counted: Tensor, w: Tensor, smoothing: float, reduction: Reduction
    ) -> Tensor:
        ctx.reduction, ctx.dtype = reduction, z.dtype
        share, each = 1.0 - smoothing, smoothing / z.shape[-1]
        index = torch.where(counted, labels, 0).long().unsqueeze(-1)
        d, e, s = softmax_terms(z.double())
        lost, own = log_total(s) - d, w.expand(d.shape).gather(-1, index)
        losses, t = lost.gather(-1, index) * own, own
        if smoothing:
            losses = losses * share + total(lost * w, -1).unsqueeze(-1) * each
            t = own * share + total(w, -1) * each
        losses = torch.where(counted, losses.squeeze(-1), 0.0)
        if ctx.needs_input_grad[0]:
            u = (w * each).expand(d.shape).clone()
            u.scatter_(-1, index, u.gather(-1, index) + own * share)
            gap = torch.where(counted.unsqueeze(-1), e.div_(s) * t - u, 0.0)
        if reduction == "mean":
            rows = total(torch.where(counted, own.squeeze(-1), 0.0), -1, what="the weight")
            if z.device.type == "cpu" and not bool((rows != 0).all()):
                raise ValueError("no rows that count, or rows without weight, have no mean")
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(gap / rows[..., None, None] if reduction == "mean" else gap)
        if reduction == "none":
            return losses
        return total(losses, -1) / rows if reduction == "mean" else total(losses, -1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        refuse_double_backward()
        (gap,) = ctx.saved_tensors
        upstream = g.unsqueeze(-1) if ctx.reduction == "none" else g[..., None, None]
        return gap.to(ctx.dtype) * upstream.to(ctx.dtype), None, None, None, None, None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, levels: float = 255.0) -> Tensor:
    """x weight.T + bias, exactly summed.

    A uint8 (int8, bool) x stands for x / levels. With a float64 weight z = matmul(x, weight.T) / levels + bias, one
    division, one sum. With a float32 weight each row of x and of weight becomes integers q of 7 or 8 bits on a grid
    2^e of its own, and z = float32(sum of q_x q_w) * ((2^e_w c) 2^e_x) + bias with c = float32(1 / levels) for
    integers, else 1. With a weight of two axes, the leading axes of x are more rows; else leading axes broadcast, but
    for an operand that wants a gradient: a sum over its sharers is not defined.

    Args:
        x: [..., in], of the weight's type or 8-bit integers.
        weight: float64 or float32, [out, in], or [..., out, in] with x [..., n, in].
        bias: like the weight, [out] or [..., out], or None.
        levels: what integers are shares of.

    Returns:
        [..., out] of the weight's type. Gradients from g: `weight_gradient(g, x)`, `bias_gradient(g)`; for x float64
        matmul(g, weight), float32 the same sum on integers of 7 bits, g times the weights' grids having one for each
        row.

    Raises:
        As `matmul` does; NonFinite also where a bias or a product beyond the type's range makes the output one.

    Example:
        >>> x, weight = torch.tensor([[51, 102]], dtype=torch.uint8), torch.tensor([[1.0, 2.0]], dtype=torch.float64)
        >>> exact.linear(x, weight, None).tolist()  # 0.2 + 2 * 0.4
        [[1.0]]
        >>> exact.linear(x, weight.float(), None).tolist()
        [[1.0]]
    """
    x, weight, bias = of_linear(x, weight, bias, levels)
    rows = x.reshape(-1, x.shape[-1]) if weight.ndim == 2 and x.ndim != 2 else x
    if weight.dtype == F32:
        z = on_integers.linear(rows, weight, bias, levels)
    else:
        z = cast(Tensor, _Linear.apply(rows, weight, bias, levels))
    return z if rows is x else z.reshape(*x.shape[:-1], weight.shape[0])


def weight_gradient(g: Tensor, x: Tensor, levels: float = 255.0) -> Tensor:
    """The gradient of `linear` for its weight: g.T x, exactly summed over the samples.

    For float64 matmul((g / levels).T, x); a float64 x has no levels. For float32, h = g 2^e_x (the grids that `linear`
    gives the rows of x) becomes integers q of 7 bits on a grid 2^e for each unit, and the result is
    float32(sum of q q_x) * (2^e c).

    Args:
        g: the loss's gradient for the outputs, float64 or float32 [..., n, out].
        x: the inputs, [..., n, in], of g's type or 8-bit integers.
        levels: what integers are shares of.

    Returns:
        [..., out, in] of g's type.

    Raises:
        As `matmul` does.

    Example:
        >>> g, x = torch.tensor([[1.0], [0.5]]), torch.tensor([[255, 0], [0, 255]], dtype=torch.uint8)
        >>> exact.weight_gradient(g, x).tolist()
        [[1.0, 0.5]]
    """
    g, x = of_weight_gradient(g, x)
    if g.dtype == F32:
        return on_integers.weight_gradient(g, x, levels)
    if not x.is_floating_point() and levels != 1:
        g = g / divisor(levels, g.device)
    return product(g.mT, x, names=("the gradient", "the input"))


def bias_gradient(g: Tensor) -> Tensor:
    """The gradient of `linear` for its bias: the exact sum of g over the samples.

    For float64 `sum(g, -2)`. For float32 each unit's column becomes integers of 22 bits on a grid 2^e of its own, and
    the result is float32(their sum) 2^e.

    Args:
        g: the loss's gradient for the outputs, float64 or float32 [..., n, out].

    Returns:
        [..., out] of g's type.

    Raises:
        TypeError: for another type.
        NonFinite: for a NaN or an infinity, on a CPU; elsewhere the result is NaN.

    Example:
        >>> exact.bias_gradient(torch.tensor([[1.0, 2.0], [0.5, -2.0]])).tolist()
        [1.5, 0.0]
    """
    of_bias_gradient(g)
    if g.dtype == F32:
        return on_integers.bias_gradient(g)
    return total(g, -2, what="the gradient")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, levels: float) -> Tensor:
        x_top = peaks(x, 1) if x.is_floating_point() else None
        w_top = peaks(weight, 2)
        z = product(x, weight.mT, x_top, w_top, names=("the input", "the weight"))
        if not x.is_floating_point() and levels != 1:
            z.div_(divisor(levels, z.device))
        if bias is not None:
            z.add_(bias.unsqueeze(-2))
            if z.device.type == "cpu":
                finite(z, "the output")
        ctx.save_for_backward(x, weight)
        ctx.x_top, ctx.w_top, ctx.levels = x_top, w_top, levels
        return z

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        refuse_double_backward()
        x, weight = ctx.saved_tensors
        top = peaks(g, 2)
        dx = dw = db = None
        if ctx.needs_input_grad[0]:
            dx = product(g, weight, top, ctx.w_top, names=("the gradient", "the weight"))
        if ctx.needs_input_grad[2]:
            db = total(g, -2, top, what="the gradient")
        if ctx.needs_input_grad[1]:
            x_top = None if ctx.x_top is None else ctx.x_top.amax(-2, keepdim=True)
            if not x.is_floating_point() and ctx.levels != 1:
                g = g / divisor(ctx.levels, g.device)
                top = peaks(g, 2)
            dw = product(g.mT, x, top, x_top, names=("the gradient", "the input"))
        return dx, dw, db, None
