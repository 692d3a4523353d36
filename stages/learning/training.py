"""The training loop, one for every model: minibatches in a seeded order, and figures after each epoch."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

from stages.command import UserError
from stages.datasets.arrays import Split
from stages.exact import NonFinite
from stages.learning.arithmetic import Arithmetic
from stages.learning.initial import order
from stages.params import Training

Row = dict[str, float]
Model = Callable[[Tensor], Tensor]  # images [B, H, W] to logits [B, K]


class Learner(Protocol):
    """A model that can learn."""

    def logits(self, X: Tensor) -> Tensor:
        """Return Z [B, K] for images [B, H, W]."""
        ...

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from one minibatch; return its mean loss and its hits from before the update."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        ...


def fit(
    ops: Arithmetic, learner: Learner, splits: Mapping[str, Split], block: Training, seed: int, name: str
) -> Iterator[Row]:
    """Train on splits["train"]; after each epoch give one row of history, with figures for every other split.

    The images stay on their device as uint8: turning them into tensors one by one, as a loader does, costs
    far more than learning from them. Raises UserError, naming the run, when the loss is no longer finite.
    """
    train, labels = splits["train"], splits["train"].labels.long()
    for epoch in range(1, block.epochs + 1):
        visits = order(len(labels), seed, epoch).to(labels.device)
        minibatches = ((train.images.index_select(0, rows), labels[rows]) for rows in visits.split(block.batch_size))
        losses, hits = _epoch(learner, minibatches, f"{name}, epoch {epoch}", block.lr)
        row: Row = {"seed": seed, "epoch": epoch}
        row["train_loss"], row["train_accuracy"] = math.fsum(losses) / len(labels), hits / len(labels)
        for other in [name for name in splits if name != "train"]:
            row[f"{other}_loss"], row[f"{other}_accuracy"] = figures(ops, learner.logits, splits[other])
        yield row


def figures(ops: Arithmetic, model: Model, split: Split) -> tuple[float, float]:
    """Return the mean loss (nats per image) and the accuracy on a split."""
    Z, y = logits(model, split), split.labels.long()
    losses = ops.cross_entropy(Z, y, reduction="none").tolist()  # fsum rounds once, whatever the order
    return math.fsum(losses) / len(y), (Z.argmax(1) == y).sum().item() / len(y)


@torch.no_grad()
def logits(model: Model, split: Split, batch_size: int = 4096) -> Tensor:
    """Return the logits [N, K] of a whole split."""
    return torch.cat([model(X) for X in split.images.split(batch_size)])


def _epoch(
    learner: Learner, minibatches: Iterable[tuple[Tensor, Tensor]], when: str, lr: float
) -> tuple[list[float], int]:
    """Visit every minibatch once; return the sum of each one's losses, and the hits of all."""
    sizes, losses, hits = [], [], []
    try:
        for X, y in minibatches:
            loss, hit = learner.step(X, y)
            sizes.append(len(y))
            losses.append(loss)
            hits.append(hit)
    except NonFinite as error:
        raise UserError(f"{when}, step {len(sizes) + 1}: {error} at lr {lr}; try a smaller lr") from None
    means = torch.stack(losses).tolist()  # the one wait for the device in an epoch
    for step, mean in enumerate(means, 1):
        if not math.isfinite(mean):
            raise UserError(f"{when}, step {step}: the loss is {mean} at lr {lr}; try a smaller lr")
    return [n * mean for n, mean in zip(sizes, means, strict=True)], int(torch.stack(hits).sum())
