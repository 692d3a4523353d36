"""Trained models, read back from their files."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import network
from samebits.learning.description import unreadable


def load_models(path: Path, ops: Arithmetic, where: torch.device | str) -> list[nn.Sequential]:
    """Return one network per seed from a model.safetensors. Raises UserError when it cannot be read."""
    try:
        state = load_file(path, device=str(where))
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from None
    names = sorted((name for name in state if name.endswith("weight")), key=_position)
    layers = [(state[name], state[name.removesuffix("weight") + "bias"]) for name in names]
    seeds = range(len(layers[0][0]))
    return [network(ops, [(W[seed], b[seed]) for W, b in layers]) for seed in seeds]


def _position(name: str) -> int:
    """The place in nn.Sequential, the number in "3.weight"; a single layer's plain "weight" comes first."""
    return int(name.partition(".")[0]) if "." in name else 0
