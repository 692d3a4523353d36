"""Stochastic gradient descent as a fixed sequence of single roundings."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from .integers import passes
from .operands import REAL, require_tensor, size


class SGD:
    """torch.optim.SGD's recursions, one rounded operation at a time, for parameters w with gradient g.

        g <- g + w * weight_decay      where weight_decay is not 0: product, sum
        v <- v * momentum + g          where momentum is not 0: product, sum; v is 0 before the first step
        w <- w - v * lr                product, difference; v is g without momentum

    For float32 parameters lr, momentum and weight_decay are rounded to float32 first. They may be changed between
    steps. Not a torch.optim.Optimizer, whose first step imports torch's compiler, which takes two seconds of every
    process.

    Args:
        params: tensors to learn, float64 or float32; no groups.
        lr: learning rate.
        momentum: share of the velocity that is kept.
        weight_decay: share of a weight that is added to its gradient.

    Raises:
        ValueError: for an lr, momentum or weight_decay that is negative or no finite number, for no tensors, one that
            is named twice, or one that is computed from others.
        TypeError: for anything but tensors of these types.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        >>> optimizer = exact.SGD([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.item()
        0.0
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if not 0 <= value < torch.inf:
                raise ValueError(f"{name} is {value}, but must be a number from 0 on")
        self.params, self.lr, self.momentum, self.weight_decay = learnable(params), lr, momentum, weight_decay
        self.velocity: list[Tensor | None] = [None] * len(self.params)
        self.scratch = torch.empty(0, device="cpu")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Args:
            set_to_none: whether each becomes None; else 0.
        """
        for w in self.params:
            w.grad = None if set_to_none or w.grad is None else torch.zeros_like(w.grad)

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient, in place.

        Raises:
            TypeError: for a gradient that is sparse.
            ValueError: for a velocity of another shape than its parameter.
        """
        learning: list[tuple[Tensor, Tensor, Tensor | None]] = []
        for i, w in enumerate(self.params):
            if w.grad is not None:
                require_tensor(w.grad, f"the gradient of parameter {i}")
                learning.append((w, w.grad, self._velocity(i, w) if self.momentum else None))
        for w, g, v in passes.sgd(learning, *self._rates(REAL[0])):
            self._update(w, g, v, *self._rates(w.dtype))

    def _rates(self, dtype: torch.dtype) -> tuple[float, float, float]:
        return rounded(self.lr, dtype), rounded(self.momentum, dtype), rounded(self.weight_decay, dtype)

    def _update(self, w: Tensor, g: Tensor, v: Tensor | None, lr: float, momentum: float, decay: float) -> None:
        if decay:
            g = g + w * decay
        if v is not None and momentum:
            g = v.mul_(momentum).add_(g)
        w.sub_(torch.mul(g, lr, out=self._memory(w)))

    def _velocity(self, i: int, w: Tensor) -> Tensor:
        """The velocity of parameter i, of its type and on its device whatever became of it since."""
        v = self.velocity[i]
        if v is None or (v.dtype, v.device) != (w.dtype, w.device) or v.shape != w.shape:
            v = self.velocity[i] = torch.zeros_like(w) if v is None else fitted(v, w, i)
        return v

    def _memory(self, w: Tensor) -> Tensor:
        """Memory for a product like w, kept, since a fresh large tensor costs more than the product."""
        if self.scratch.numel() < w.numel() or (self.scratch.dtype, self.scratch.device) != (w.dtype, w.device):
            self.scratch = torch.empty(w.numel(), dtype=w.dtype, device=w.device)
        return self.scratch[: w.numel()].view(w.shape)

    def state_dict(self) -> dict[str, Tensor]:
        """The velocities, for `load_state_dict`.

        Returns:
            Those there are, by the number of their parameter: "0", "1" ...

        Example:
            >>> w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
            >>> w.grad = torch.tensor([0.25], dtype=torch.float64)
            >>> optimizer = exact.SGD([w], lr=1.0, momentum=0.5)
            >>> optimizer.step()
            >>> optimizer.state_dict()["0"].tolist()
            [0.25]
        """
        return {str(i): v for i, v in enumerate(self.velocity) if v is not None}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with copies of the velocities of another optimizer of the same parameters.

        Args:
            state: from its `state_dict`; a velocity is rounded to its parameter's type.

        Raises:
            ValueError: for a velocity of another shape than its parameter, or of a parameter that there is not.
            TypeError: for what is no tensor.
        """
        places = [str(i) for i in range(len(self.params))]
        if unknown := sorted({*map(str, state)} - {*places}):
            raise ValueError(f"state has {', '.join(unknown)}, but the parameters are 0 to {len(places) - 1}")
        given = [state.get(place) for place in places]
        self.velocity = [
            v if v is None else fitted(v, w, i) for i, (v, w) in enumerate(zip(given, self.params, strict=True))
        ]


def learnable(params: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list. Raises TypeError and ValueError as SGD does."""
    if isinstance(params, Tensor):
        raise TypeError("params is a tensor, but must be a list of tensors")
    found = list(params)
    for i, w in enumerate(found):
        require_tensor(w, f"parameter {i}")
        if w.dtype not in REAL:
            raise TypeError(f"parameter {i} is {w.dtype}, but must be float32 or float64")
        if not w.is_leaf:
            raise ValueError(f"parameter {i} is computed from other tensors, so it cannot be learned itself")
        if any(w is other for other in found[:i]):
            raise ValueError(f"parameter {i} is there twice")
    if not found:
        raise ValueError("there are no parameters to learn")
    return found


@lru_cache(64)
def rounded(rate: float, dtype: torch.dtype) -> float:
    """A rate as its parameter's type holds it."""
    return torch.tensor(rate, dtype=torch.float64, device="cpu").to(dtype).item()


def fitted(v: Tensor, w: Tensor, i: int) -> Tensor:
    """A copy of the velocity v, of w's type, on its device and in its layout. Raises ValueError, TypeError."""
    require_tensor(v, f"the velocity of parameter {i}")
    if v.shape != w.shape:
        raise ValueError(f"the velocity of parameter {i} is {size(v)}, but the parameter {size(w)}")
    return torch.zeros_like(w).copy_(v)
