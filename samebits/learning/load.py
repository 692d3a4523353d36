"""Trained models, read back from their files."""

from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from samebits.base.errors import UserError, brief
from samebits.exact.operands import REAL
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import network
from samebits.learning.description import Description, describe, remedy, unreadable
from samebits.learning.layers import built, require_shapes


def load_models(path: Path, ops: Arithmetic, where: torch.device | str) -> list[nn.Sequential]:
    """Return one network per seed of linear layers. Raises UserError for a file that cannot be read, or has none."""
    try:
        state = load_file(path, device=str(where))
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from None
    layers = _layers(state)
    if not layers:
        raise UserError(f"{path} does not hold the layers of a model{remedy(path)}")
    return [network(ops, [(W[seed], b[seed]) for W, b in layers]) for seed in range(len(layers[0][0]))]


def load_described(
    path: Path, description: Description, ops: Arithmetic, where: torch.device | str
) -> list[nn.Sequential]:
    """Return one network for each of the description's seeds. Raises UserError if the file holds others."""
    if description.network is not None:
        return load_networks(path, description, ops, where)
    models = load_models(path, ops, where)
    first, *_, last = models[0].parameters()
    height, width = description.image
    sizes = first.shape[1], last.shape[0], len(models)
    if sizes != (height * width, len(description.classes), len(description.seeds)):
        raise UserError(f"{path} does not hold the models that it describes{remedy(path)}")
    return models


def load_networks(
    path: Path, description: Description, ops: Arithmetic, where: torch.device | str
) -> list[nn.Sequential]:
    """Return one network per seed, of the layers that it is described with. Raises UserError for a file of others."""
    try:
        state = load_file(path, device=str(where))
        require_shapes(description.network or [], state)
        nets: list[nn.Sequential] = []
        for seed in range(len(description.seeds)):
            net = built(description.network or [], ops).to(where).eval()
            net.load_state_dict({name: x[seed] for name, x in state.items()})
            nets.append(net)
        shape = list(nets[0](torch.zeros(1, *description.image, dtype=torch.uint8, device=where)).shape)
    except SafetensorError as error:
        raise unreadable(path, error) from None
    except (ArithmeticError, AttributeError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not hold the network that it describes ({brief(error)}){remedy(path)}") from None
    if shape != [1, len(description.classes)] or any(len(x) != len(nets) for x in state.values()):
        raise UserError(f"{path} does not hold the models that it describes{remedy(path)}")
    return nets


def load_trained(path: Path, wanted: Description, ops: Arithmetic, where: torch.device | str) -> list[nn.Sequential]:
    """Return one network per seed, trained as `wanted` says, as far as it does. Raises UserError naming what is not."""
    description = describe(path)
    found = asdict(description)
    if other := [name for name, value in asdict(wanted).items() if value is not None and found[name] != value]:
        name = other[0]
        raise UserError(f"{path} was trained with {name} {found[name]}, not {asdict(wanted)[name]}{remedy(path)}")
    return load_described(path, description, ops, where)


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
