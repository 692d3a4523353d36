"""Large tensors part by part: what is done with a part finds it in a core's own cache, and makes no large tensors.

A fresh large tensor costs more than the operation that fills it, for the system gives it out page by page.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

SIZE = 2**16  # entries of a part


def parts(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors with a first axis in common, along that: as wholes where they are not on a CPU, or are small."""
    each = max(1, SIZE // max(1, tensors[0][:1].numel())) if tensors[0].device.type == "cpu" else len(tensors[0])
    return zip(*(x.split(max(1, each)) for x in tensors), strict=True)


def wide(x: Tensor) -> Tensor:
    """A float64 copy."""
    return x.to(torch.float64, copy=True)


# Freed once, a block of this size tells glibc's allocator that such blocks come again: it then keeps what is freed, up
# to twice as much, where else it gives large tensors back to the system after each step and has them zeroed anew, which
# was a third of a step of LeNet. Nothing is written to it, so it costs no memory itself.
torch.empty(2**25 - 2**16, dtype=torch.int8, device="cpu")
