"""Stochastic gradient descent as a fixed sequence of single roundings."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class SGD:
    """torch.optim.SGD's recursions, one rounded operation at a time, for float64 parameters w with gradient g.

        g <- g + w * weight_decay      where weight_decay is not 0: product, sum
        v <- v * momentum + g          where momentum is not 0: product, sum; v <- g at the first step
        w <- w - v * lr                product, difference; v is g without momentum

    lr, momentum and weight_decay may be changed between steps. Not a torch.optim.Optimizer, whose first step imports
    torch's compiler, which takes two seconds of every process.

    Args:
        params: tensors to learn, float64.
        lr: learning rate.
        momentum: share of the velocity that is kept.
        weight_decay: share of a weight that is added to its gradient.

    Raises:
        ValueError: for a negative lr, momentum or weight_decay.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0], dtype=exact.dtype))
        >>> optimizer = exact.SGD([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.item()
        0.0
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        if lr < 0 or momentum < 0 or weight_decay < 0:
            raise ValueError(f"lr {lr}, momentum {momentum}, weight_decay {weight_decay}: none may be negative")
        self.params, self.lr, self.momentum, self.weight_decay = list(params), lr, momentum, weight_decay
        self.velocity: list[Tensor | None] = [None] * len(self.params)
        self.scratch = torch.empty(0)

    def zero_grad(self) -> None:
        """Forget the gradients: each becomes None."""
        for w in self.params:
            w.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient, in place."""
        for i, w in enumerate(self.params):
            g = w.grad
            if g is None:
                continue
            if self.weight_decay:
                g = g + w * self.weight_decay
            if self.momentum:
                v = self.velocity[i]
                g = self.velocity[i] = g.clone() if v is None else v.mul_(self.momentum).add_(g)
            w.sub_(torch.mul(g, self.lr, out=self._memory(w)))

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
            >>> w = torch.nn.Parameter(torch.tensor([1.0], dtype=exact.dtype))
            >>> w.grad = torch.tensor([0.25], dtype=exact.dtype)
            >>> optimizer = exact.SGD([w], lr=1.0, momentum=0.5)
            >>> optimizer.step()
            >>> optimizer.state_dict()["0"].tolist()
            [0.25]
        """
        return {str(i): v for i, v in enumerate(self.velocity) if v is not None}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with copies of the velocities of another optimizer of the same parameters.

        Args:
            state: from its `state_dict`.
        """
        places = [state.get(str(i)) for i in range(len(self.params))]
        self.velocity = [v if v is None else v.clone().to(w.device) for v, w in zip(places, self.params, strict=True)]
