"""What learns: models for several seeds, side by side."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from samebits.exact import at

VELOCITY = "velocity."  # and the name of a weight: how fast it moves


class Learner(ABC):
    """Models that can learn, one for each of S seeds, side by side; `threads` is how many a step gains by, if known."""

    threads: int | None = None

    @abstractmethod
    def logits(self, X: Tensor) -> Tensor:
        """Return Z [S, B, K] for images [S, B, H, W], of the models as they are judged."""

    @abstractmethod
    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a minibatch for each seed; return mean losses and hits [S] from before the update."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return what was learned, [S, ...]."""

    @abstractmethod
    def velocities(self) -> dict[str, Tensor]:
        """Return how fast that moves, under the same names: what else an optimizer needs to go on."""

    @abstractmethod
    def go_on(self, carried: dict[str, Tensor]) -> None:
        """Take the place of a learner that carried this, to go on in the same bits."""

    def carried(self) -> dict[str, Tensor]:
        """Return all that the next epoch needs, [S, ...], as it is now: it may change in place."""
        return {**self.state(), **{VELOCITY + name: tensor for name, tensor in self.velocities().items()}}

    def epoch(self, images: Tensor, labels: Tensor, visits: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        """Learn once from images [N, H, W] and labels [N], each seed in an order of its own, visits [S, N].

        Returns the mean losses of the minibatches, [steps, S], and the hits [S]. A NonFinite that is raised says
        `step` and, with several seeds, `entry`, the seed's place.

        The images stay on their device as uint8: turning them into tensors one by one, as a loader does, costs far
        more than learning from them.
        """
        losses, counts = [], []
        with threads(self.threads):
            for step, rows in enumerate(visits.split(batch_size, dim=1), 1):
                X = images.index_select(0, rows.flatten()).view(*rows.shape, *images.shape[1:])
                with at(step=step):
                    loss, hit = self.step(X, labels[rows])
                losses.append(loss)
                counts.append(hit)
        return torch.stack(losses), torch.stack(counts).sum(0)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Give torch so many threads for a while; None leaves it as it is."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)
