"""Trained models, read back from their files."""

from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.exact.operands import REAL
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import network
from samebits.learning.description import remedy, unreadable


def load_models(path: Path, ops: Arithmetic, where: torch.device | str) -> list[nn.Sequential]:
    """Return one network per seed from a model.safetensors. Raises UserError when it cannot be read."""
    try:
        state = load_file(path, device=str(where))
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from None
    layers = _layers(state)
    if not layers:
        raise UserError(f"{path} does not hold the layers of a model{remedy(path)}")
    return [network(ops, [(W[seed], b[seed]) for W, b in layers]) for seed in range(len(layers[0][0]))]


def _layers(state: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Weight [S, out, in] and bias [S, out] of each layer; nothing if they are none, or do not follow on each other."""
    try:
        names = sorted((name for name in state if name.endswith("weight")), key=_position)
        layers = [(state[name], state[name.removesuffix("weight") + "bias"]) for name in names]
    except (KeyError, ValueError):
        return []
    whole = all(W.ndim == 3 and b.shape == W.shape[:2] and W.dtype in REAL and b.dtype in REAL for W, b in layers)
    if whole and all(V.shape[:2] == (W.shape[0], W.shape[2]) for (V, _), (W, _) in pairwise(layers)):
        return layers
    return []


def _position(name: str) -> int:
    """The place in nn.Sequential, the number in "3.weight"; a single layer's plain "weight" comes first."""
    return int(name.partition(".")[0]) if "." in name else 0
