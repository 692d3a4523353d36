"""The quickest way to train a network exactly: whole steps in few passes, each seed in a thread of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import NonFinite
from samebits.exact.integers import passes
from samebits.learning.arithmetic import Arithmetic, on_integers
from samebits.learning.concise import Concise, network
from samebits.learning.initial import Layer
from samebits.learning.learner import VELOCITY, Learner, threads

if TYPE_CHECKING:
    from samebits.base.params import Training


def quickest(ops: Arithmetic, net: nn.Sequential, lr: float, momentum: float) -> Learner:
    """Return the learner of S networks [S, ...] that is quickest here; every one ends in the same bits."""
    where = next(net.parameters()).device
    if on_integers(ops) and where.type == "cuda":
        from samebits.learning.captured import Captured

        return Captured(ops, net, lr, momentum)
    if on_integers(ops) and passes.compiled(where):
        return Fused(ops, net, lr, momentum)
    return Concise(ops, net, lr, momentum)


class Fused(Concise):
    """S networks, each learning by `samebits.exact.integers.fused`, as many at once as torch has threads."""

    def __init__(self, ops: Arithmetic, net: nn.Sequential, lr: float, momentum: float):
        from samebits.exact.integers import fused  # here, for it needs numba

        super().__init__(ops, net, lr, momentum)
        seeds = range(len(next(net.parameters())))
        self.momentum = momentum
        self.each = [fused.Fused(one_of(net, seed), lr, momentum) for seed in seeds]

    def epoch(self, images: Tensor, labels: Tensor, visits: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        """Learn once from every image: see Learner."""
        pixels = images.flatten(1).contiguous()

        def learn(seed: int) -> tuple[Tensor, int]:
            torch.set_num_threads(1)  # in this thread
            try:
                return self.each[seed].epoch(pixels, labels, visits[seed], batch_size)
            except NonFinite as error:
                error.place["entry"] = seed
                raise

        with threads(None), ThreadPoolExecutor(min(torch.get_num_threads(), len(self.each))) as pool:
            done = list(pool.map(learn, range(len(self.each))))
        return torch.stack([losses for losses, _ in done], 1), torch.tensor([hits for _, hits in done], device="cpu")

    def velocities(self) -> dict[str, Tensor]:
        """Return how fast what is learned moves."""
        return {name: torch.stack(moving) for name, moving in self._moving().items()}

    def go_on(self, carried: dict[str, Tensor]) -> None:
        """Go on from where another left."""
        for name, weight in self.state().items():
            weight.copy_(carried[name])  # and so that of each seed, whose memory it is
        for name, moving in self._moving().items():
            for seed, v in enumerate(moving):
                v.copy_(carried[VELOCITY + name][seed])

    def _moving(self) -> dict[str, list[Tensor]]:
        """The velocity of each seed, by the name of what it moves; none without momentum, as in SGD."""
        names = [name for name, _ in self.net.named_parameters()] if self.momentum else []
        each = [[tensor for layer in one.layers for tensor in layer.velocities] for one in self.each]
        return dict(zip(names, map(list, zip(*each, strict=True)), strict=False))


def build(ops: Arithmetic, layers: list[Layer], block: Training) -> Learner:
    """Return the learner of `block`: a list of layers, a loss and an optimizer, or what does the same in less time."""
    return quickest(ops, network(ops, layers), block.lr, block.momentum)


def one_of(net: nn.Sequential, seed: int) -> nn.Sequential:
    """Return the network of one seed, its weights in the memory of all."""
    layers: list[nn.Module] = []
    for layer in net:
        if isinstance(layer, exact.Linear):
            one = exact.Linear(layer.in_features, layer.out_features, tag=layer.tag, levels=layer.levels)
            one.weight, one.bias = (nn.Parameter(w.detach()[seed]) for w in (layer.weight, layer.bias) if w is not None)
            layers.append(one)
        else:
            layers.append(layer)
    return nn.Sequential(*layers)
