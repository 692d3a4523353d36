"""What the functions take: types, shapes and devices, looked at before anything is computed.

Here the two arithmetics say the same of the same mistake, whichever route or compiled pass would have met it.
"""

from functools import lru_cache

import torch
from torch import Tensor

from .grid import INTEGERS
from .guard import CLASSES, Refused, finite

REAL = (torch.float32, torch.float64)


def require_tensor(x: object, what: str) -> None:
    """Raise TypeError for anything but a dense tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{what} is no tensor, but must be one: torch.as_tensor makes it")
    if x.layout != torch.strided:
        raise TypeError(f"{what} is {x.layout}, but must be dense (.to_dense())")


def require_float64(x: Tensor, what: str) -> Tensor:
    """Return x. Raises TypeError for another type: float32 would be rounded to before anything could be exact."""
    require_tensor(x, what)
    if x.dtype != torch.float64:
        raise TypeError(f"{what} is {x.dtype}: exact arithmetic takes float64")
    return x


def axis(x: Tensor, dim: int) -> int:
    """An axis, counted from the front. Raises ValueError where there is none."""
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"there is no axis {dim} in {size(x)}")
    return dim % x.ndim


def size(x: Tensor) -> str:
    """A shape as it is written: [2, 3]."""
    return str(list(x.shape))


@lru_cache(64)
def share(levels: float) -> float:
    """1 / levels rounded to float32: what one level of an integer input is worth. Raises ValueError."""
    exact = torch.tensor(1.0 / levels if levels else torch.inf, dtype=torch.float64, device="cpu")
    worth: float = exact.to(torch.float32).item()
    if not 0 < worth < torch.inf:
        raise ValueError(f"levels is {levels}, but must be a number above 0 whose reciprocal float32 can hold")
    return worth


def of_matmul(a: Tensor, b: Tensor) -> None:
    """Refuse what cannot be multiplied: ValueError, TypeError."""
    for x, what in ((a, "the left operand"), (b, "the right operand")):
        require_tensor(x, what)
        if x.ndim < 2:
            raise ValueError(f"{what} is {size(x)}, but must have two axes or more")
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"{size(a)} @ {size(b)}: {a.shape[-1]} columns do not fit {b.shape[-2]} rows")
    batch(a, b)


def batch(*operands: Tensor) -> torch.Size:
    """The leading axes that matrices have together. Raises ValueError where they do not fit."""
    try:
        return torch.Size(torch.broadcast_shapes(*(x.shape[:-2] for x in operands)))
    except RuntimeError:
        raise ValueError(f"the leading axes of {' and '.join(map(size, operands))} do not fit each other") from None


def of_linear(x: Tensor, weight: Tensor, bias: Tensor | None, levels: float) -> tuple[Tensor, Tensor, Tensor | None]:
    """The operands of a linear layer with all leading axes that they share spelled out; weight is [..., out, in].

    Raises TypeError, ValueError, and Refused for an operand that several entries would share and that has a gradient:
    it would be summed over them, in whichever order.
    """
    _require_fit(x, weight)
    share(levels)
    if weight.ndim > 2 and x.shape[:-2] != weight.shape[:-2]:
        if x.ndim < 2:
            raise ValueError(f"the input is {size(x)}, but must be [..., n, in] beside a weight {size(weight)}")
        axes = batch(x, weight)
        x, weight = _spelt(x, axes + x.shape[-2:], "the input"), _spelt(weight, axes + weight.shape[-2:], "the weight")
    if bias is not None:
        require_tensor(bias, "the bias")
        if (bias.dtype, bias.device) != (weight.dtype, weight.device):
            raise TypeError(f"the bias is {bias.dtype} on {bias.device}, the weight {weight.dtype} on {weight.device}")
        if bias.shape != weight.shape[:-1]:
            bias = _spelt(bias, weight.shape[:-1], "the bias")
    return x, weight, bias


def _require_fit(x: Tensor, weight: Tensor) -> None:
    require_tensor(x, "the input")
    require_tensor(weight, "the weight")
    if weight.dtype not in REAL:
        raise TypeError(f"the weight is {weight.dtype}, but must be float32 or float64")
    if x.dtype != weight.dtype and x.dtype not in INTEGERS:
        raise TypeError(f"the input is {x.dtype}, but the weight {weight.dtype}: give the same type, or uint8 pixels")
    if x.device != weight.device:
        raise ValueError(f"the input is on {x.device}, but the weight on {weight.device}")
    if weight.ndim < 2:
        raise ValueError(f"the weight is {size(weight)}, but must be [out, in] or [..., out, in]")
    if x.ndim < 1 or x.shape[-1] != weight.shape[-1]:
        raise ValueError(f"the input is {size(x)}, but the weight {size(weight)} takes [..., {weight.shape[-1]}]")


def _spelt(x: Tensor, shape: torch.Size, what: str) -> Tensor:
    if x.shape == shape:
        return x
    if x.requires_grad and torch.is_grad_enabled():
        raise Refused(
            f"{what} is {size(x)}, but {list(shape)} is needed: sharing it would sum its gradient in no certain order"
        )
    try:
        return x.expand(shape)
    except RuntimeError:
        raise ValueError(f"{what} is {size(x)}, but must be {list(shape)}") from None


def of_weight_gradient(g: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs' gradient and the inputs of a linear layer, leading axes spelled out. Or TypeError, ValueError."""
    of_bias_gradient(g)
    require_tensor(x, "the input")
    if x.dtype != g.dtype and x.dtype not in INTEGERS:
        raise TypeError(f"the input is {x.dtype}, but the gradient {g.dtype}: give the same type, or uint8 pixels")
    if x.ndim < 2 or x.shape[-2] != g.shape[-2]:
        raise ValueError(f"the input is {size(x)}, but the gradient {size(g)}: they must have the same samples")
    if x.shape[:-2] == g.shape[:-2]:
        return g, x
    axes = batch(g, x)
    return g.expand(axes + g.shape[-2:]), x.expand(axes + x.shape[-2:])


def of_bias_gradient(g: Tensor) -> None:
    """Refuse what is no gradient of outputs: TypeError, ValueError."""
    require_tensor(g, "the gradient")
    if g.dtype not in REAL:
        raise TypeError(f"the gradient is {g.dtype}, but must be float32 or float64")
    if g.ndim < 2:
        raise ValueError(f"the gradient is {size(g)}, but must be [..., n, out]")


def require_classes(z: Tensor) -> None:
    """Refuse logits without a class, and of more classes than softmax can sum."""
    if z.ndim < 1 or z.shape[-1] < 1:
        raise ValueError(f"the logits are {size(z)}, but must be [..., classes], one class at least")
    if z.shape[-1] > CLASSES:
        raise Refused(f"{z.shape[-1]} classes: 40 bits and their sum exceed 53; at most {CLASSES}")


def of_cross_entropy(
    z: Tensor, labels: Tensor, weight: Tensor | None = None, ignored: int = -100, smoothing: float = 0.0
) -> Tensor | None:
    """Which rows count, or None for all of them. On a CPU labels' range is looked at.

    Raises TypeError, ValueError or Refused for logits, labels and weights that do not fit, and for a smoothing that is
    none.
    """
    require_tensor(z, "a tensor of logits")
    require_tensor(labels, "a tensor of labels")
    if z.dtype not in REAL:
        raise TypeError(f"a tensor of logits is {z.dtype}: exact arithmetic takes float64, or float32")
    require_classes(z)
    if z.ndim < 2:
        raise ValueError(f"the logits are {size(z)}, but must be [..., n, classes]")
    if labels.shape != z.shape[:-1] or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels {tuple(labels.shape)} {labels.dtype} do not fit logits {tuple(z.shape)}")
    if labels.device != z.device:
        raise ValueError(f"the labels are on {labels.device}, but the logits on {z.device}")
    if weight is not None:
        _require_weight(weight, z)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing is {smoothing}, but must be a number from 0 to 1")
    return _counted(labels, z.shape[-1], ignored)


def _require_weight(weight: Tensor, z: Tensor) -> None:
    require_tensor(weight, "the weight")
    if weight.dtype not in REAL:
        raise TypeError(f"the weight is {weight.dtype}, but must be float32 or float64")
    if weight.shape != z.shape[-1:]:
        raise ValueError(f"the weight is {size(weight)}, but must be [{z.shape[-1]}], one for each class")
    if weight.device != z.device:
        raise ValueError(f"the weight is on {weight.device}, but the logits on {z.device}")
    if z.device.type == "cpu":
        finite(weight, "the weight")


def _counted(labels: Tensor, classes: int, ignored: int) -> Tensor | None:
    """Rows whose label is another, or None for all of them, where that is known without a wait."""
    if ignored < 0 and labels.dtype in (torch.uint8, torch.bool):
        if labels.device.type == "cpu":
            require_range(labels, classes, "label")
        return None
    if labels.device.type != "cpu":
        return labels.long() != ignored
    if not labels.numel() or not labels.min().item() <= ignored <= labels.max().item():
        require_range(labels, classes, "label")
        return None
    counted = labels.long() != ignored  # as numbers: a byte would take -100 for 156
    require_range(torch.where(counted, labels, 0), classes, "label")
    return counted


def require_range(x: Tensor, end: int, what: str) -> None:
    """Raise ValueError for an entry of x that is below 0 or not below `end`."""
    if x.numel() and not 0 <= x.min().item() <= x.max().item() < end:
        raise ValueError(f"a {what} is {x.min().item()} to {x.max().item()}, but must be 0 to {end - 1}")
