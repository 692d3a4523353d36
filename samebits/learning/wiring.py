"""A module with a forward of its own, as layers with names for what goes in: what it does between them are layers too.

Sums and concatenations of float32 numbers are single operations, the same on every machine; what else a forward may
do is not, or cannot be told from here, and is refused.
"""

import operator
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from samebits.learning.steps import Add, Cat

BETWEEN: dict[str, type[nn.Module]] = {"Add": Add, "Cat": Cat, "Flatten": nn.Flatten, "ReLU": nn.ReLU}
CALLS: dict[object, str] = {  # in a forward, and the layer that is meant
    operator.add: "Add", operator.iadd: "Add", torch.add: "Add", "add": "Add",
    torch.cat: "Cat", torch.flatten: "Flatten", "flatten": "Flatten",
    torch.relu: "ReLU", F.relu: "ReLU", "relu": "ReLU",
}  # fmt: skip
ALLOWED = "x + y, torch.cat, torch.flatten and torch.relu"


class UntraceableError(ValueError):
    """A forward that cannot be written down."""


def is_layer(module: nn.Module, leaves: Collection[type[nn.Module]]) -> bool:
    """Whether a module is one layer; what is a library's but not among `leaves` is one too, if an unknown one."""
    kind = type(module)
    libraries = kind.__module__.startswith(("torch.nn", "samebits.exact"))
    return kind in leaves or (libraries and kind is not nn.Sequential)


def traced(net: nn.Module, leaves: Collection[type[nn.Module]]) -> Iterator[tuple[str, nn.Module, list[str]]]:
    """Yield name, layer and the names of its inputs for each step of a module's forward, in order; "" is the images.

    `leaves` are what counts as a layer. Raises UntraceableError.
    """
    from torch import fx  # here, for it takes a while

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return is_layer(m, leaves)

    try:
        graph = Tracer().trace(net)
    except Exception as error:
        text = next(iter(str(error).splitlines()), type(error).__name__)
        raise UntraceableError(f"the forward of {type(net).__name__} cannot be followed: {text}") from None
    names: dict[Any, str] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            if names:
                raise UntraceableError(f"the forward of {type(net).__name__} takes more than the images")
            names[node] = ""
        elif node.op != "output":
            name = "_".join(str(node.target).split(".")) if node.op == "call_module" else node.name
            names[node] = node.name if name in names.values() else name  # a layer without weights may come again
            layer, inputs = _step(net, node)
            yield names[node], layer, [names[each] for each in inputs]
        elif not isinstance(node.args[0], fx.Node) or node.args[0] is not node.prev:
            raise UntraceableError(f"the forward of {type(net).__name__} should return what its last layer gives")


def _step(net: nn.Module, node: Any) -> tuple[nn.Module, list[Any]]:
    """The layer of a step, and the nodes that go in."""
    if node.op == "call_module":
        return net.get_submodule(node.target), list(node.args)
    kind = CALLS.get(node.target)
    if kind is None:
        raise UntraceableError(f"the forward of {type(net).__name__} has {_called(node)}: between layers go {ALLOWED}")
    inputs, others = (list(node.args[0]), node.args[1:]) if kind == "Cat" else _split(kind, node.args)
    try:
        layer: Callable[..., nn.Module] = BETWEEN[kind]
        return layer(*others, **node.kwargs), inputs
    except TypeError:
        raise UntraceableError(
            f"the forward of {type(net).__name__} has {_called(node)} with arguments of another kind"
        ) from None


def _split(kind: str, args: tuple[Any, ...]) -> tuple[list[Any], tuple[Any, ...]]:
    count = 2 if kind == "Add" else 1
    if kind == "Add" and not all(hasattr(each, "op") for each in args[:2]):
        raise UntraceableError(f"a forward adds {args[1]!r} to an output: between layers go {ALLOWED}")
    return list(args[:count]), args[count:]


def _called(node: Any) -> str:
    if node.op == "get_attr":
        return f"self.{node.target}, which is no layer"
    return f"the call of {getattr(node.target, '__name__', node.target)}"
