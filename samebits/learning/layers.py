"""Networks of one's own, layer by layer: as data, and as modules again.

A model's file says so what it is made of. Whoever has the file can build the network, and runs nobody's code for it.
"""

from __future__ import annotations

import inspect
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from samebits import exact
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.initial import draw_
from samebits.learning.steps import Network
from samebits.learning.wiring import BETWEEN, UntraceableError, is_layer, traced

# What a layer is made with that is no part of what it is: the run's seeds and the layer's place decide these.
APART = ("device", "dtype", "seed", "tag")
PIXELS = ("Conv2d", "Linear")  # exact layers that take 8-bit integers
MOVING = ("Flatten", "MaxPool2d")  # and those through which integers come as they are
WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d")  # layers whose first weights are drawn

Layers = list[dict[str, Any]]  # of each: name, its place; layer, its class; arguments, where they are not the default


class UnknownError(ValueError):
    """A layer that the arithmetic does not know, or that is none."""


RESERVED = {*dir(Network(OrderedDict(), False, {}))}  # what no layer can be called


def library(ops: Arithmetic) -> ModuleType:
    """Return the layers there are: those of samebits.exact, or torch's own for float32."""
    return nn if ops.dtype == ops.loss_dtype == torch.float32 else exact


def known(ops: Arithmetic) -> dict[str, type[nn.Module]]:
    """Return the layers there are, by name."""
    found = {name: each for name, each in vars(library(ops)).items() if inspect.isclass(each)}
    apart = {nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Container}
    return {
        name: each
        for name, each in found.items()
        if issubclass(each, nn.Module) and each not in apart and not name.endswith("Loss")
    } | BETWEEN


def described(net: nn.Module, ops: Arithmetic) -> Layers:
    """Return what a network is made of. Raises UnknownError for what this arithmetic does not know."""
    classes, names = known(ops), {each: name for name, each in known(ops).items()}
    layers: Layers = []
    seen: dict[int, str] = {}  # whose weights and buffers there were, and whose names
    for name, layer, inputs in through(net, classes):
        kind = names.get(type(layer))
        if kind is None:
            raise UnknownError(_unknown(name, layer, classes, ops))
        _require_plain(name, layer)
        for x in () if kind == "Dropout" else [*layer.parameters(), *layer.buffers()]:
            if id(x) in seen:
                raise UnknownError(f"layer {name} is layer {seen[id(x)]} again: each has weights of its own here")
        seen |= {id(x): name for x in [*layer.parameters(), *layer.buffers()]}
        if name in RESERVED or any(name == each["name"] for each in layers):
            raise UnknownError(f"the name {name} of a layer is taken: give it another")
        layers.append({"name": name, "layer": kind, "arguments": _arguments(layer)})
        if inputs is not None:
            layers[-1]["inputs"] = inputs
        _require_written(layers[-1], layer, ops)
    return layers


def through(net: nn.Module, classes: dict[str, type[nn.Module]]) -> Iterator[tuple[str, nn.Module, list[str] | None]]:
    """Yield name, layer and names of its inputs in their order; None for the inputs of layers in a Sequential."""
    if is_sequence(net) and all(is_layer(layer, classes.values()) for _, layer in flat(cast(nn.Sequential, net))):
        yield from ((name, layer, None) for name, layer in flat(cast(nn.Sequential, net)))
        return
    try:
        yield from traced(net, classes.values())
    except UntraceableError as error:
        raise UnknownError(str(error)) from None


def _require_written(each: dict[str, Any], layer: nn.Module, ops: Arithmetic) -> None:
    """Raise UnknownError unless what is written of a layer, read again, gives one like it."""
    try:
        again = built([json.loads(json.dumps({**each, "inputs": [""]}))], ops)[0].state_dict()
        same = {key: x.shape for key, x in again.items()} == {key: x.shape for key, x in layer.state_dict().items()}
    except (TypeError, ValueError):
        same = False
    if not same:
        raise UnknownError(f"layer {each['name']}, {each['layer']}, cannot be made again from its attributes")


def _require_plain(name: str, layer: nn.Module) -> None:
    """Raise UnknownError for what a model's file would not say of a layer."""
    if "forward" in vars(layer):
        raise UnknownError(f"layer {name} has a forward of its own, which the model's file cannot hold")
    if any(isinstance(w, UninitializedParameter) for w in layer.parameters()):
        raise UnknownError(f"layer {name}, {type(layer).__name__}, has no size yet: write the layer with its sizes")
    if _hooked(layer):
        raise UnknownError(f"layer {name} has hooks, which the model's file cannot hold")
    if not all(w.requires_grad for w in layer.parameters()):
        raise UnknownError(f"layer {name} has weights that are not to be learned, but here all are")


def _hooked(layer: nn.Module) -> bool:
    return any(hooks for name, hooks in vars(layer).items() if name.endswith("_hooks") and "state_dict" not in name)


def is_sequence(net: object) -> bool:
    """Whether a module does nothing but to pass on what one layer gives to the next."""
    if not isinstance(net, nn.Sequential):
        return False
    kind, own = type(net), net._parameters or net._buffers or "forward" in vars(net) or _hooked(net)
    return kind.forward is nn.Sequential.forward and kind.__call__ is nn.Module.__call__ and not own


def flat(net: nn.Sequential, above: str = "") -> list[tuple[str, nn.Module]]:
    """Return the layers in their order, each with its name, through Sequentials in Sequentials."""
    found: list[tuple[str, nn.Module]] = []
    for name, layer in net._modules.items():  # not named_children, which passes over what comes twice
        if is_sequence(layer):
            found += flat(cast(nn.Sequential, layer), f"{above}{name}_")
        elif layer is not None:
            found.append((f"{above}{name}", layer))
    return found


def _unknown(name: str, layer: nn.Module, classes: dict[str, type[nn.Module]], ops: Arithmetic) -> str:
    kind = type(layer).__name__
    if library(ops) is nn:
        own = "layers of samebits.exact are not float32's: take them from the nn that the function is given"
        return f"layer {name} is {kind}, which torch.nn has not" + (f"; {own}" if kind in vars(exact) else "")
    if kind not in classes:
        return f"layer {name}: {missing(kind)}"
    hint = "take it from the nn that the function is given"
    return f"layer {name} is {kind} of {type(layer).__module__.partition('.')[0]}, not of exact arithmetic: {hint}"


def missing(kind: str | None) -> str:
    """Return what to say of a layer that exact arithmetic has not."""
    there = ", ".join(sorted(set(known(exact)) & set(vars(exact))))  # type: ignore[arg-type]
    return f"exact arithmetic has no {kind}: there are {there}; arithmetic: float32 takes any layer of torch.nn"


def _arguments(layer: nn.Module) -> dict[str, Any]:
    """What a layer was made with, where that is not the default; each is an attribute of the same name."""
    found = {}
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        value = getattr(layer, name, parameter.default)
        if name == "self" or name in APART or (name not in vars(layer) and name != "bias"):
            continue
        if name == "bias":  # of a layer with none it is None, or still what was asked for
            value = value is not None and value is not False
        if value != parameter.default:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def built(layers: Layers, ops: Arithmetic) -> Network:
    """Return a network again, its weights as they are first made. Raises UnknownError for what is no such list."""
    classes, modules = known(ops), OrderedDict[str, nn.Module]()
    for each in layers:
        try:
            kind, name = classes[each["layer"]], each["name"]
            arguments = {key: tuple(x) if isinstance(x, list) else x for key, x in each["arguments"].items()}
            modules[name] = kind(**arguments)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnknownError(f"{each} is no layer of this arithmetic ({error})") from None
    first = next((each["layer"] for each in layers if each["layer"] not in MOVING), "")
    inputs = {each["name"]: each["inputs"] for each in layers if "inputs" in each}
    places = {name: i for i, name in enumerate(["", *modules])}
    for name, sources in inputs.items():
        before = isinstance(sources, list) and [places.get(source, len(places)) < places[name] for source in sources]
        if not before or not all(before):
            raise UnknownError(f"layer {name} has inputs {sources} that do not come before it")
    entering = [each["layer"] for each in layers if "" in each.get("inputs", ())] if inputs else [first]
    pixels = library(ops) is exact and all(kind in PIXELS for kind in entering)
    return Network(modules, pixels, inputs).to(ops.dtype)


def require_shapes(layers: Layers, state: Mapping[str, Tensor]) -> None:
    """Raise UnknownError unless a model's file has the weights [S, ...] of its layers: before any memory is theirs."""
    for each in layers:
        kind, arguments = BETWEEN.get(each["layer"]) or getattr(nn, each["layer"], None), each["arguments"]
        if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
            raise UnknownError(f"there is no layer {each['layer']}")
        known_to_torch = inspect.signature(kind).parameters
        with torch.device("meta"):
            sized = kind(**{key: x for key, x in arguments.items() if key in known_to_torch})
        for key, x in sized.state_dict().items():
            found = state.get(f"{each['name']}.{key}")
            if found is None and key == "bias" and arguments.get("bias") is False:
                continue  # of a batch norm without: torch's has no such argument
            if found is None or found.shape[1:] != x.shape:
                raise UnknownError(f"{each['name']}.{key} is not {list(x.shape)} for each seed")


@torch.no_grad()
def first_network(
    layers: Layers, ops: Arithmetic, init_std: float | None, seed: int, where: torch.device | str = "cpu"
) -> Network:
    """Return a network with the first weights of `seed`, the same for every arithmetic: as `first_layers` draws them,
    under the names of the layers; so are dropout's masks. What is not drawn there starts as torch.nn has it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for layers of torch.nn that draw what is not drawn here; float32 alone has such
        net = built(layers, ops)
    for name, layer in net.named_children():
        for attribute, value in (("tag", name), ("seed", seed)):
            if hasattr(layer, attribute):
                setattr(layer, attribute, value)
        if type(layer).__name__ in WEIGHTED:
            draw_(layer, name, init_std, seed)
    return net.to(where)


def first_networks(
    layers: Layers, ops: Arithmetic, init_std: float | None, seeds: Sequence[int], where: torch.device | str = "cpu"
) -> list[Network]:
    """Return a network for each seed."""
    return [first_network(layers, ops, init_std, seed, where) for seed in seeds]
