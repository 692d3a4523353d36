"""Trained models, written to their file."""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from samebits.base.files import whole
from samebits.learning.description import KEY, Description


def write_model(path: Path, states: list[dict[str, Tensor]], description: Description) -> None:
    """Write what each seed learned, one after the other along a leading axis, [S, ...].

    A -0.0 becomes 0.0, so that equal weights are equal bytes. Of metadata there is one entry: their order in the file
    is not fixed. What the description leaves open is left out.
    """
    stacked = {name: torch.stack([state[name].cpu() for state in states]) for name in states[0]}
    joined = {name: x + 0.0 if x.is_floating_point() else x for name, x in stacked.items()}
    known = {name: value for name, value in vars(description).items() if value is not None}
    metadata = {KEY: json.dumps(known, sort_keys=True, ensure_ascii=False)}
    with whole(path) as scratch:
        scratch.write_bytes(save(joined, metadata))
