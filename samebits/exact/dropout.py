"""Dropout whose masks are functions of seed, layer and step."""

import numpy as np
import torch
from torch import Tensor, nn

from .operands import REAL, require_tensor
from .random import draws


class Dropout(nn.Module):
    """Entries set to 0 with probability p in training, the others times 1 / (1 - p), as torch.nn.Dropout.

    Of a layer's step n, the nth call in training, the mask comes from the draws under the tag "TAG.step{n}": give every
    layer of a model its own tag. Entry i, row by row, is dropped where the upper 32 bits of draw i are below
    floor(p 2^32). The factor is 1 / (1 - p) in float64, rounded to x's type (Srivastava et al. 2014, "inverted").

    Args:
        p: the probability to drop an entry, from 0 to 1.
        inplace: whether x itself is changed.
        seed: of the masks.
        tag: the layer's name.

    Attributes:
        step: calls in training so far, int64; in state_dict, so that a training goes on where it stopped.

    Raises:
        ValueError: for another p.

    Example:
        >>> exact.Dropout(0.5, seed=0, tag="drop")(torch.tensor([1.0, 1.0, 1.0, 1.0])).tolist()
        [2.0, 0.0, 0.0, 2.0]
    """

    step: Tensor

    def __init__(self, p: float = 0.5, inplace: bool = False, *, seed: int = 0, tag: str = "dropout") -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{tag}: p is {p}, but must be from 0 to 1")
        self.p, self.inplace, self.seed, self.tag = float(p), inplace, seed, tag
        self.register_buffer("step", torch.zeros((), dtype=torch.int64, device="cpu"))

    def forward(self, x: Tensor) -> Tensor:
        """x through this step's mask; in evaluation x itself.

        Args:
            x: of any shape, float32 or float64.

        Returns:
            Like x. Gradient: g times the same factors.

        Raises:
            TypeError: for another type.
        """
        require_tensor(x, "the input")
        if x.dtype not in REAL:
            raise TypeError(f"{self.tag}: the input is {x.dtype}, but must be float32 or float64")
        if not self.training:
            return x
        self.step += 1
        factors = self._factors(x.numel(), int(self.step.item())).view(x.shape).to(x.device, x.dtype)
        return x.mul_(factors) if self.inplace else x * factors

    def _factors(self, count: int, step: int) -> Tensor:
        """0 where an entry is dropped, else 1 / (1 - p), float64 [count]."""
        kept = (draws(count, self.seed, f"{self.tag}.step{step}") >> np.uint64(32)) >= np.uint64(int(self.p * 2.0**32))
        return torch.from_numpy(np.where(kept, 1.0 / (1.0 - self.p) if self.p < 1.0 else 0.0, 0.0))

    def extra_repr(self) -> str:
        """Probability and tag, as torch shows a layer's.

        Returns:
            What stands between the brackets.

        Example:
            >>> exact.Dropout(0.25, tag="drop")
            Dropout(p=0.25, tag='drop')
        """
        return f"p={self.p}{', inplace=True' if self.inplace else ''}, tag={self.tag!r}"
