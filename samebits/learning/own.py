"""A network of one's own: asked of the file networks/NAME.py, tried on a minibatch, and then trained as any other."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from samebits import exact
from samebits.base import paths
from samebits.base.errors import UserError, brief, reason
from samebits.datasets.arrays import load_summary
from samebits.datasets.split import Split
from samebits.exact import NonFinite
from samebits.learning import device
from samebits.learning.arithmetic import Arithmetic, arithmetic
from samebits.learning.course import Course
from samebits.learning.layers import (
    Layers,
    UnknownError,
    built,
    described,
    first_networks,
    known,
    library,
    missing,
    through,
)
from samebits.learning.run import Trained, complete, require_sizes, splits_of
from samebits.learning.separate import Separate, Start, build
from samebits.learning.steps import Network

if TYPE_CHECKING:
    from samebits.base.params import Network as Block
    from samebits.base.params import Params
    from samebits.datasets.arrays import Summary

FUNCTION = "network"
WANTED = (
    f"a function {FUNCTION}(nn, image, classes) that returns an nn.Sequential, or a module with a forward of its own"
)


@dataclass(frozen=True)
class OwnCourse(Course):
    """The course of a network of one's own, of `layers`."""

    def first(self, seeds: Sequence[int]) -> Start:
        """Return a network for each seed, and how many steps they have to go."""
        ops = arithmetic(self.arithmetic, self.where)
        nets = first_networks(self.layers or [], ops, cast("Block", self.block).init_std, seeds, self.where)
        return Start(nets, self.block.epochs * -(-len(self.splits["train"].labels) // self.block.batch_size))

    def weights(self) -> int:
        """Return how many weights a seed has."""
        net = built(self.layers or [], arithmetic(self.arithmetic, self.where))
        return sum(weight.numel() for weight in net.parameters())


def train(dataset: str, run: str, params: Params, trained: Trained) -> None:
    """Train the network of networks/RUN.py on a dataset's splits, as `complete` does.

    Raises UserError, before anything is trained, for a file that gives no network for this dataset.
    """
    summary = load_summary(paths.processed(dataset))
    complete(course_of_network(run, params, summary, device.chosen()), run, params, summary, trained)


def course_of_network(run: str, params: Params, summary: Summary, where: torch.device) -> OwnCourse:
    """Return what the seeds of a network of one's own go through on a dataset. Raises UserError as `train` does."""
    block, splits = params.network(run), splits_of(paths.processed(summary.dataset), where)
    ops, (height, width), file = arithmetic(params.arithmetic, where), summary.image, paths.network(run)
    widths = [height * width, len(summary.classes)]
    require_sizes(params.arithmetic, block.batch_size, widths, where)
    layers = asked(file, ops, (height, width), len(summary.classes), block.options)
    course = OwnCourse(f"{summary.dataset} {run}", params.arithmetic, block, build, splits, widths, where, layers)
    for size in sizes(splits["train"], block):
        try_out(file, course, ops, splits["train"], size)
    return course


def sizes(train: Split, block: Block) -> set[int]:
    """Return the sizes of minibatches: the last one of an epoch may be smaller."""
    images = len(train.labels)
    return {min(block.batch_size, images), images % block.batch_size or min(block.batch_size, images)}


def asked(file: Path, ops: Arithmetic, image: tuple[int, int], classes: int, options: Mapping[str, Any]) -> Layers:
    """Return the layers that a file gives for images of this size and so many classes. Raises UserError."""
    there, nn_ = set(sys.modules), library(ops)
    function, before = _function(file), torch.get_rng_state()
    net, again = (_run(file, lambda: function(nn_, image, classes, **options)) for _ in range(2))
    drawn = not torch.equal(before, torch.get_rng_state())
    if others := [other for name in set(sys.modules) - there if (other := _beside(name))]:
        raise UserError(
            f"{file} imports {min(others)}, of which DVC knows nothing: what the network is made of belongs in one file"
        )
    if not isinstance(net, nn.Module):
        raise UserError(f"{file} gives {type(net).__name__}, but it should have {WANTED}")
    try:
        layers = described(net, ops)
        if not layers or not any(True for _ in net.parameters()):
            raise UnknownError("there are no weights to learn")
        if not isinstance(again, nn.Module) or described(again, ops) != layers:
            raise UnknownError(f"{FUNCTION} gives another network when it is called again")
        if nn_ is not nn and drawn:
            torch.set_rng_state(before)
            raise UnknownError(
                f"it draws random numbers of torch, which the run's seeds do not decide: layers of the nn that "
                f"{FUNCTION} is given have first weights, and Dropout masks, of their own"
            )
        _require_untouched(net, ops)
        return layers
    except UnknownError as error:
        raise UserError(f"{file}: {error}") from None


def _function(file: Path) -> Callable[..., Any]:
    """The function that gives the network."""
    try:
        source = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} is missing: it should have {WANTED} (docs/your-model.md)") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({reason(error)})") from None
    names: dict[str, Any] = {"__name__": file.stem, "__file__": str(file)}
    _run(file, lambda: exec(compile(source, str(file), "exec"), names))
    if not callable(function := names.get(FUNCTION)):
        raise UserError(f"{file} has no {FUNCTION}: it should have {WANTED} (docs/your-model.md)")
    found: Callable[..., Any] = function
    return found


def _beside(name: str) -> str | None:
    """The file of a module that is the user's own: in this folder, and neither of this package nor installed."""
    file, here = getattr(sys.modules.get(name), "__file__", None), Path.cwd().resolve()
    if not file or name.partition(".")[0] == "samebits" or "site-packages" in Path(file).parts:
        return None
    found = Path(file).resolve()
    return str(found.relative_to(here)) if found.is_relative_to(here) else None


def _run(file: Path, code: Callable[[], Any]) -> Any:
    """What the user's code gives. Raises UserError with its line, whatever it raises."""
    try:
        return code()
    except SyntaxError as error:
        raise UserError(f"{file}{f' line {error.lineno}' if error.lineno else ''}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f"{file} line {lines[-1]}" if lines else str(file)
        if isinstance(error, AttributeError) and error.obj is exact:
            raise UserError(f"{where}: {missing(error.name)}") from None
        raise UserError(f"{where}: {type(error).__name__}: {brief(error)}") from None


def _require_untouched(net: nn.Module, ops: Arithmetic) -> None:
    """Raise UnknownError if first weights were changed, which would be lost without a word."""
    for name, layer, _ in through(net, known(ops)):
        [alone] = described(nn.Sequential(layer), ops)
        same = {key: getattr(layer, key) for key in ("seed", "tag") if hasattr(layer, key)}
        try:
            [anew] = built([{**alone, "arguments": {**alone["arguments"], **same}}], ops)
        except UnknownError:
            raise UnknownError(f"layer {name}, {alone['layer']}, cannot be made again from its attributes") from None
        for key, x in layer.state_dict(keep_vars=True).items():
            if (first := anew.state_dict(keep_vars=True).get(key)) is None or first.shape != x.shape:
                raise UnknownError(f"layer {name}, {alone['layer']}, has another {key} than one made as it was")
            if _touched(x, first, library(ops) is nn):
                raise UnknownError(
                    f"layer {name} has another first {key} than it was made with, but those are drawn from the run's "
                    "seeds: init_std in params.yaml makes weights normal"
                )


def _touched(x: Tensor, first: Tensor, drawn: bool) -> bool:
    """Whether a tensor was changed: torch.nn draws others each time, but counts how often it changed one in place."""
    return x._version > first._version if drawn else not torch.equal(x.to(first.dtype), first)


def try_out(file: Path, course: OwnCourse, ops: Arithmetic, train: Split, size: int) -> None:
    """Let a network learn from one minibatch. Raises UserError, naming the layer, for what cannot be learned."""
    images, labels = train.images[:size], train.labels[:size].long()
    height, width = images.shape[1:]
    try:
        start = course.first(course.block.seeds[:1])
        learner = build(ops, start, cast("Block", course.block))
        Z: Any = _through(start.nets[0], images, f"{file} on images of {height} x {width}")
        if not isinstance(Z, Tensor):
            raise TypeError(f"it gives {type(Z).__name__}, not one tensor of logits")
        if list(Z.shape) != [size, course.widths[-1]]:
            found, classes = _size(Z.shape[1:]), course.widths[-1]
            raise UserError(f"{file} gives {found} logits for each image, but there are {classes} classes")
        learner.step(images.unsqueeze(0), labels.unsqueeze(0))
        _judge(learner, images)
    except NonFinite:
        pass  # training tells it, with its seed and step
    except UserError:
        raise
    except Exception as error:  # whatever a layer raises of what it is given
        raise UserError(f"{file}, with a minibatch of {size} images: {brief(error)}") from None


def _judge(learner: Separate, images: Tensor) -> None:
    learner.logits(images[:1].unsqueeze(0))


def _through(net: Network, images: Tensor, place: str) -> Tensor:
    """The logits, layer by layer, so that a fault names its layer."""
    layers, done = list(net.named_children()), 0
    try:
        for done, (_, _, Z) in enumerate(net.steps(images), 1):  # noqa: B007
            pass
        return Z
    except NonFinite:
        raise
    except Exception as error:
        name, layer = layers[done]
        text = brief(error).removeprefix(f"{name}: ")
        raise UserError(f"{place}: layer {name}, {type(layer).__name__}: {text}") from None


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "1"
