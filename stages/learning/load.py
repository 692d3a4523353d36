"""Trained models, read back from their files."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from stages.errors import UserError
from stages.learning.arithmetic import Arithmetic
from stages.learning.concise import network

KEY = "samebits"  # of the metadata entry that describes the model


@dataclass(frozen=True)
class Description:
    """What a model.safetensors says of itself: where its models come from, and how images are put to them."""

    dataset: str
    run: str
    arithmetic: str
    classes: list[str]
    image: list[int]  # height and width
    seeds: list[int]  # one model each


def describe(path: Path) -> Description:
    """Return the description in a model.safetensors. Raises UserError when it cannot be read or has none."""
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {})[KEY]
        values = json.loads(text)
        return Description(**{field.name: values[field.name] for field in fields(Description)})
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} is no model of this project: it does not say what it was trained on") from None


def load_models(path: Path, ops: Arithmetic, where: torch.device | str) -> list[nn.Sequential]:
    """Return one network per seed from a model.safetensors. Raises UserError when it cannot be read."""
    try:
        state = load_file(path, device=str(where))
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None
    names = sorted((name for name in state if name.endswith("weight")), key=_position)
    layers = [(state[name], state[name.removesuffix("weight") + "bias"]) for name in names]
    seeds = range(len(layers[0][0]))
    return [network(ops, [(W[seed], b[seed]) for W, b in layers]) for seed in seeds]


def _unreadable(path: Path, error: Exception) -> UserError:
    if not path.exists():
        return UserError(f"{path} is missing: `dvc repro` trains it")
    return UserError(f"{path} is not a whole safetensors file ({error}): `dvc repro` trains it again")


def _position(name: str) -> int:
    """The place in nn.Sequential, the number in "3.weight"; a single layer's plain "weight" comes first."""
    return int(name.partition(".")[0]) if "." in name else 0
