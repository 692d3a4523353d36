"""Steps of a whole network in few passes over memory, on a CPU: what `functional` does layer by layer, bit for bit."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..functional import divisor, log_total, total
from ..guard import CLASSES, NonFinite, Refused
from ..modules import Linear
from ..operands import require_range, share
from . import kernels
from .memory import Back, Inputs, Outputs, Weights
from .passes import MOST
from .products import Route, route

Array = Any
CPU = torch.device("cpu")


class Layer:
    """A layer's weight [m, k] and bias, updated in place; their velocities; the weight's integers, kept up to date."""

    def __init__(self, weight: Tensor, bias: Tensor, levels: float | None, tag: str, multiply: Route) -> None:
        self.m, self.k = weight.shape
        self.tag, self.share = tag, np.float32(share(1.0 if levels is None else levels))
        self.learned = weight.detach(), bias.detach()
        self.w, self.b = self.learned[0].numpy(), self.learned[1].view(1, -1).numpy()
        self.velocities = torch.zeros_like(self.learned[0]), torch.zeros_like(self.learned[1])
        self.v, self.vb = self.velocities[0].numpy(), self.velocities[1].view(1, -1).numpy()
        self.integers = Weights(1, self.m, self.k, multiply)
        self.refresh()

    def refresh(self) -> None:
        """Make the integers of the weight as it is, for somebody may have changed it; and tell torch that it will be: a
        graph which still needs the old one says so.
        """
        torch.autograd.graph.increment_version(self.learned)
        made = self.integers
        self.check(kernels.rows(self.w[None], made.array, made.step, made.total), "the weight")

    def check(self, found: int, what: str) -> None:
        """Raise what a kernel found."""
        if found >= 0:
            raise NonFinite(what, layer=self.tag)


class Memory:
    """What a layer's passes write for a minibatch of n samples."""

    def __init__(self, layer: Layer, n: int, multiply: Route) -> None:
        m, k = layer.m, layer.k
        self.x = Inputs(1, n, k, multiply)
        self.x_step = np.ones((1, n), np.float32)
        self.z, self.back = Outputs(1, n, k, m, multiply), Back(1, n, k, m, multiply)
        self.a, self.g = (np.zeros((1, n, m), np.float32) for _ in range(2))  # activations, or logits; their gradient
        self.updates = [self._update(layer, i, part) for i, part in enumerate(self.back.parts)]

    def _update(self, layer: Layer, i: int, part: slice) -> tuple[Tensor, Tensor, tuple[Array, ...]]:
        """The operand and the sums of some units' weight gradient, and what `kernels.update` takes."""
        (sums, array), made = self.back.blocks[i], layer.integers
        rows = (
            array[0], self.back.lifted[0, part], self.back.step[0, part], layer.share, layer.w[part], layer.v[part],
            made.array[0, part], made.step[0, part], made.total[0, part],
        )  # fmt: skip
        return self.back.left[0][i], sums, rows


class Fused:
    """Stochastic gradient descent of one network of linear layers with ReLU between, on pixels, as `functional`,
    `cross_entropy` and `SGD` do it, through compiled kernels.

    Args:
        model: torch.nn.Sequential of (Flatten,) Linear, ReLU, ..., Linear, in float32 on a CPU; updated in place.
        lr: learning rate; `momentum` and `weight_decay` as of `SGD`.
    """

    def __init__(self, model: nn.Sequential, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.multiply = route(CPU)
        self.layers = [Layer(*parts, self.multiply) for parts in taken_apart(model)]
        self.rates = np.float32(lr), np.float32(momentum), np.float32(weight_decay)
        self.memories: dict[int, list[Memory]] = {}

    def epoch(self, images: Tensor, labels: Tensor, order: Tensor, batch_size: int) -> tuple[Tensor, int]:
        """Learn from images [N, k] (uint8) and labels [N] (int64) in minibatches, in the order given.

        Returns the mean loss of each minibatch, float64, and all hits, both from before its update.
        Raises NonFinite naming layer and step (from 1); ValueError or TypeError for what does not fit.
        """
        self._require_fit(images, labels, order)
        for layer in self.layers:
            layer.refresh()
        pixels, truth, visits = images.contiguous().numpy(), labels.numpy(), order.numpy()
        sums, gaps = np.zeros(len(visits)), np.zeros(len(visits))
        hits = 0
        for step, start in enumerate(range(0, len(visits), batch_size), 1):
            part = slice(start, min(start + batch_size, len(visits)))
            try:
                hits += self._step(pixels, truth, visits[part], sums[part], gaps[part])
            except NonFinite as error:
                error.place["step"] = step
                raise
        losses = log_total(torch.from_numpy(sums)) - torch.from_numpy(gaps)
        return minibatch_means(losses, batch_size), hits

    def _require_fit(self, images: Tensor, labels: Tensor, order: Tensor) -> None:
        """Kernels look up no bounds, so whatever they will look up is checked here."""
        if (images.dtype, labels.dtype, order.dtype) != (torch.uint8, torch.int64, torch.int64):
            types = f"{images.dtype}, {labels.dtype}, {order.dtype}"
            raise TypeError(f"images, labels and order are {types}, but must be uint8, int64 and int64")
        if images.shape != (len(labels), self.layers[0].k):
            raise ValueError(f"images are {list(images.shape)}, but must be [{len(labels)}, {self.layers[0].k}]")
        require_range(labels, self.layers[-1].m, "label")
        require_range(order, len(labels), "place in the order")

    def _step(self, pixels: Array, truth: Array, rows: Array, sums: Array, gaps: Array) -> int:
        memories = self._memory(len(rows))
        kernels.gather(pixels, rows, memories[0].x.array[0])
        self._forward(memories)
        last, hits = memories[-1], np.zeros(1, np.int64)
        found = kernels.loss_side(last.a, truth[None, rows], last.g, sums[None], gaps[None], hits)
        self.layers[-1].check(found, "the logits")
        self._backward(memories)
        return int(hits[0])

    def _memory(self, n: int) -> list[Memory]:
        if n not in self.memories:
            self.memories[n] = [Memory(layer, n, self.multiply) for layer in self.layers]
        return self.memories[n]

    def _forward(self, memories: list[Memory]) -> None:
        for layer, here, above in zip(self.layers, memories, [*memories[1:], None], strict=True):
            w, sums = layer.integers, here.z.array
            self.multiply.into(here.x.q[0], w.turned[0], here.z.sums[0])
            if above is None:
                found = kernels.affine(
                    sums, w.total, w.step, layer.share, here.x_step, here.x.lifts, layer.b, here.a
                )  # fmt: skip
            else:
                found = kernels.hidden(
                    sums, w.total, w.step, layer.share, here.x_step, layer.b, here.a, above.x.array, above.x_step
                )  # fmt: skip
            layer.check(found, "the output")

    def _backward(self, memories: list[Memory]) -> None:
        belows = [None, *memories[:-1]]
        for layer, here, below in zip(self.layers[::-1], memories[::-1], belows[::-1], strict=True):
            back, w = here.back, layer.integers
            found = kernels.gradient(
                here.g, here.x_step, here.x.lifts, back.h, back.column, back.step, back.lifted, back.db,
                w.step, back.delta_array, back.delta_step, below is not None, True, True,
            )  # fmt: skip
            layer.check(found, "the gradient")
            if below is not None:  # with the weights as they were, so before they learn
                self.multiply.into(back.delta[0], w.q[0], back.sums[0])
                kernels.below(back.sums_array, back.delta_step, below.a, below.g)
            self._learn(layer, here)

    def _learn(self, layer: Layer, here: Memory) -> None:
        if here.back.turns:
            kernels.transposed(here.x.array, here.back.turned)
        [right] = here.back.right or here.x.q
        for left, sums, rows in here.updates:
            self.multiply.into(left, right, sums)
            layer.check(kernels.update(*rows, *self.rates), "the weight")
        kernels.sgd(layer.b[0], here.back.db[0], layer.vb[0], *self.rates)


def minibatch_means(losses: Tensor, batch_size: int) -> Tensor:
    """The mean of each minibatch's losses [N], an exact sum divided by its rows."""
    full = len(losses) // batch_size * batch_size
    means = []
    for part in (losses[:full].view(-1, batch_size), losses[full:].view(1, -1)):
        if part.numel():
            means.append(total(part, -1) / divisor(part.shape[1], CPU))
    return torch.cat(means)


def taken_apart(model: nn.Sequential) -> list[tuple[Tensor, Tensor, float | None, str]]:
    """Weight, bias, levels (of pixels, so of the first layer) and tag of each linear layer. Raises Refused."""
    layers = [layer for layer in model if not isinstance(layer, nn.Flatten)]
    parts: list[tuple[Tensor, Tensor, float | None, str]] = []
    for i, layer in enumerate(layers):
        if i % 2:
            fits = isinstance(layer, nn.ReLU) and i + 1 < len(layers)
        elif isinstance(layer, Linear) and layer.bias is not None:
            require(layer)
            parts.append((layer.weight.detach(), layer.bias.detach(), None if i else layer.levels, layer.tag))
            fits = True
        else:
            fits = False
        if not fits:
            raise Refused("fused steps are of Linear layers with a bias and ReLU between them")
    if not parts or len(layers) % 2 == 0 or parts[-1][0].shape[0] > CLASSES:
        raise Refused(f"fused steps end in a Linear layer of at most {CLASSES} classes")
    return parts


def require(layer: Linear) -> None:
    """Raise Refused for a layer that 32 bits cannot sum, or that is elsewhere."""
    if layer.weight.dtype != torch.float32 or layer.weight.device.type != "cpu":
        raise Refused(f"{layer.tag}: fused steps are of float32 layers on a CPU")
    if max(layer.weight.shape) > MOST:
        raise Refused(f"{layer.tag}: fused steps sum at most {MOST} products, for 255 * 127 * {MOST} is below 2^31")
