"""Networks of one's own in training: one for each seed, with an optimizer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import at
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import call
from samebits.learning.hits import hits
from samebits.learning.layers import library
from samebits.learning.learner import VELOCITY, Learner
from samebits.learning.steps import Network

if TYPE_CHECKING:
    from samebits.base.params import Network as Block


DONE = "steps"  # the name of what is carried on of them


@dataclass(frozen=True)
class Start:
    """Networks with their first weights, and how many steps they will take."""

    nets: list[Network]
    steps: int


class Separate(Learner):
    """S networks one after the other, each with its optimizer; together they are S models, as the loop wants them."""

    def __init__(
        self, ops: Arithmetic, nets: list[Network], loss: nn.Module, optimizer: Callable[[Iterator[nn.Parameter]], Any],
        rate: Callable[[int], float],
    ):  # fmt: skip
        self.nets, self.loss, self.judged = nets, loss, ops.loss_dtype
        self.optimizers = [optimizer(net.parameters()) for net in nets]
        self.rate, self.done = rate, 0  # the learning rate of a step, and how many there were

    @torch.no_grad()
    def logits(self, X: Tensor) -> Tensor:
        """Return Z [S, B, K] for images [S, B, H, W], of the models as they are judged."""
        return torch.stack([call(judged(net, self.judged), x) for net, x in zip(self.nets, X, strict=True)])

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a minibatch for each seed; return mean losses and hits [S] from before the update."""
        losses, counts = [], []
        rate, self.done = self.rate(self.done), self.done + 1
        for seed, (net, optimizer) in enumerate(zip(self.nets, self.optimizers, strict=True)):
            with at(entry=seed):
                Z = call(net, X[seed])
                loss: Tensor = self.loss(Z, y[seed])
                optimizer.zero_grad()
                loss.backward()
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
            losses.append(loss.detach())
            counts.append(hits(Z, y[seed]))
        return torch.stack(losses), torch.stack(counts)

    def state(self) -> dict[str, Tensor]:
        """Return what was learned, and what layers remember of it."""
        each = [net.state_dict() for net in self.nets]
        return {name: torch.stack([state[name].detach() for state in each]) for name in each[0]}

    def velocities(self) -> dict[str, Tensor]:
        """Return what the optimizers remember, by NAME.WHAT of each parameter."""
        each = [dict(self._remembered(net, one)) for net, one in zip(self.nets, self.optimizers, strict=True)]
        remembered = {name: torch.stack([one[name] for one in each]) for name in each[0]}
        return {**remembered, DONE: torch.full((len(self.nets),), self.done, device="cpu")}

    @staticmethod
    def _remembered(net: Network, optimizer: Any) -> Iterator[tuple[str, Tensor]]:
        for name, w in net.named_parameters():
            for what, value in optimizer.state.get(w, {}).items():
                if value is not None:  # as torch's own has where there is no momentum
                    yield f"{name}.{what}", value

    def go_on(self, carried: dict[str, Tensor]) -> None:
        """Go on from where another left."""
        self.done = int(carried[VELOCITY + DONE][0].item())
        for seed, (net, optimizer) in enumerate(zip(self.nets, self.optimizers, strict=True)):
            net.load_state_dict({name: carried[name][seed] for name in net.state_dict()})
            state: dict[int, dict[str, Tensor]] = {}
            for i, (name, _) in enumerate(net.named_parameters()):
                begin = f"{VELOCITY}{name}."
                there = {key.removeprefix(begin): x[seed] for key, x in carried.items() if key.startswith(begin)}
                if there:
                    state[i] = there
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def judged(net: Network, dtype: torch.dtype) -> Network:
    """Return a copy of a network as it is judged."""
    return deepcopy(net).to(dtype).eval()


def build(ops: Arithmetic, start: Start, block: Block) -> Separate:
    """Return the learner of `block`: its networks, their loss and their optimizers."""
    layers = library(ops)
    of = cast(Any, exact if layers is exact else torch.optim)
    optimizers = {"SGD": of.SGD, "Adam": of.Adam, "AdamW": of.AdamW}
    loss = cast(Any, layers).CrossEntropyLoss(label_smoothing=block.label_smoothing)

    def optimizer(weights: Iterator[nn.Parameter]) -> Any:
        return optimizers[block.optimizer](weights, **block.rates)

    def rate(step: int) -> float:
        return block.lr if block.schedule == "constant" else block.lr * ((start.steps - step) / start.steps)

    return Separate(ops, start.nets, loss, optimizer, rate)
