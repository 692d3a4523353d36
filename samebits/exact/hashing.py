"""One hash for a set of tensors."""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from .guard import finite

WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, in hex, of named tensors in order of name: for each `["name", "dtype", [shape]]`, a newline, its bytes.

    Bytes are little-endian in row-major order; a -0.0 counts as 0.0.

    Args:
        tensors: tensors by name, of any real type, shape and device; a model's state_dict().

    Returns:
        64 hexadecimal digits, the same on every machine for the same values.

    Raises:
        NonFinite: naming the tensor that holds a NaN or an infinity.
        TypeError: naming the tensor that is complex.

    Example:
        >>> exact.digest({"weight": torch.zeros(2), "bias": -torch.zeros(1)})[:16]
        'c45151099b3d242a'
    """
    sha = hashlib.sha256()
    for name in sorted(tensors):
        x = finite(tensors[name].detach().cpu(), f"tensor {name!r}")
        if x.is_complex():
            raise TypeError(f"tensor {name!r} is {x.dtype}: a digest is of real numbers")
        if x.is_floating_point():
            x = x + 0.0
        sha.update(json.dumps([name, str(x.dtype).removeprefix("torch."), list(x.shape)]).encode() + b"\n")
        raw = x.contiguous().view(WHOLE[x.element_size()]).numpy()
        sha.update(raw.astype(raw.dtype.newbyteorder("<"), copy=False).tobytes())
    return sha.hexdigest()
