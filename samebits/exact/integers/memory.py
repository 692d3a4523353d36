"""What the passes of a layer write, made once and used again: as arrays for kernels, as matrices for products.

To make a tensor, or an array of it, costs as much as a small pass, and there are dozens in a step.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .plain import LIFT
from .products import Route

Array = Any
F32, I32 = np.float32, np.int32
MANY = 64  # units for which it pays to turn their inputs over
BLOCK = 2**16  # entries of a weight gradient that are made and used up at once, while a core's own cache holds them
KEPT = 2**22  # entries beyond which memory is not kept: those of a pass over a whole dataset
KINDS, SPARE = 64, 16  # sizes that are kept, and how many of each


def matrices(s: int, n: int, k: int, dtype: torch.dtype) -> tuple[list[Tensor], Array]:
    """Memory for s matrices, as tensors [n, k] and as an array [s, n, k]."""
    with torch.inference_mode(False):  # it outlives that mode, which its tensors would not
        x = torch.empty(s, n, k, dtype=dtype, device="cpu")
    return list(x.unbind()), x.numpy()


class Weights:
    """The integers of s weights [m, k]: `plain.Rows`."""

    def __init__(self, s: int, m: int, k: int, multiply: Route) -> None:
        self.q, self.array = matrices(s, m, k, multiply.dtype)
        self.turned = [q.mT for q in self.q]
        self.step, self.total = np.zeros((s, m), F32), np.zeros((s, m), I32)


class Inputs:
    """The integers of n samples for each of s layers: `plain.Inputs`; `ones` and `lifts` are what pixels have."""

    def __init__(self, s: int, n: int, k: int, multiply: Route) -> None:
        self.q, self.array = matrices(s, n, k, multiply.dtype)
        self.step, self.lift = np.zeros((s, n), F32), np.zeros((s, n), I32)
        self.ones, self.lifts = np.ones((s, n), F32), np.full((s, n), LIFT, I32)


class Operands:
    """Inputs and weights of a layer; they are read until its gradients are made."""

    def __init__(self, s: int, n: int, k: int, m: int, multiply: Route) -> None:
        self.x, self.w = Inputs(s, n, k, multiply), Weights(s, m, k, multiply)


class Outputs:
    """The sums of products that become logits."""

    def __init__(self, s: int, n: int, k: int, m: int, multiply: Route) -> None:
        self.sums, self.array = matrices(s, n, m, multiply.holding(k))


class Back:
    """What gradients are made of: columns and deltas as integers, the sums of their products."""

    def __init__(self, s: int, n: int, k: int, m: int, multiply: Route) -> None:
        self.h = np.zeros((n, m), F32)
        q, self.column = matrices(s, n, m, multiply.dtype)
        self.step, self.lifted, self.db = np.zeros((s, m), F32), np.zeros((s, m), I32), np.zeros((s, m), F32)
        self.delta, self.delta_array = matrices(s, n, m, multiply.dtype)
        self.delta_step, self.zeros = np.zeros((s, n), F32), np.zeros((s, n), I32)
        self.sums, self.sums_array = matrices(s, n, k, multiply.holding(m))
        # int8 products of many units take half the time where what they sum over is contiguous
        self.turns = multiply.dtype == torch.int8 and m >= MANY
        turned, self.turned = matrices(s if self.turns else 0, k, n, multiply.dtype)
        self.right = [x.mT for x in turned]
        height = min(m, max(1, BLOCK // k))
        [block], array = matrices(1, height, k, multiply.holding(n))
        self.parts = [slice(i, min(i + height, m)) for i in range(0, m, height)]
        self.blocks = [(block[: part.stop - part.start], array[:, : part.stop - part.start]) for part in self.parts]
        self.left = [[each.mT[part] for part in self.parts] for each in q]
        self.part_lifted = [[self.lifted[i : i + 1, part] for part in self.parts] for i in range(s)]
        self.part_step = [[self.step[i : i + 1, part] for part in self.parts] for i in range(s)]


class Pool:
    """Memory of one kind, lent and taken back, by any thread."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.free: dict[tuple[object, ...], list[Any]] = {}

    def lend(self, s: int, n: int, k: int, m: int, multiply: Route) -> Any:
        """Memory for these sizes that nobody else has; what is in it is anybody's."""
        key = (s, n, k, m, multiply)
        try:
            return self.free[key].pop()
        except LookupError:
            made = self.kind(s, n, k, m, multiply)
            made.home = self._home(key) if s * max(n * k, n * m, m * k) <= KEPT else None
            return made

    def _home(self, key: tuple[object, ...]) -> list[Any]:
        if len(self.free) >= KINDS:
            self.free.clear()
        return self.free.setdefault(key, [])


def give(memory: Any) -> None:
    """Let others have it; more of one size than a network has at a time are not kept."""
    if memory.home is not None and len(memory.home) < SPARE:
        memory.home.append(memory)
