"""The training loop, one for every model: minibatches in seeded orders, and figures after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from samebits.base.errors import UserError
from samebits.datasets.split import Split
from samebits.exact import NonFinite
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.hits import hits
from samebits.learning.initial import order

if TYPE_CHECKING:  # the learning room itself needs no more than torch, numpy and safetensors
    from samebits.base.params import Training

Row = dict[str, float]
Model = Callable[[Tensor], Tensor]  # images [N, H, W] to logits [N, K], or [S, N, H, W] to [S, N, K]


class Learner(Protocol):
    """Models that can learn, one for each of S seeds, side by side."""

    def logits(self, X: Tensor) -> Tensor:
        """Return Z [S, B, K] for images [S, B, H, W]."""
        ...

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a minibatch for each seed; return mean losses and hits [S] from before the update."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what was learned, [S, ...]."""
        ...


def fit(
    ops: Arithmetic, learner: Learner, splits: Mapping[str, Split], block: Training, seeds: Sequence[int], name: str
) -> Iterator[list[Row]]:
    """Train on splits["train"]; after each epoch give each seed's row of history, with figures for every other split.

    Every seed visits the images in an order of its own. The images stay on their device as uint8: turning them into
    tensors one by one, as a loader does, costs far more than learning from them. Raises UserError, naming run and
    seed, when a loss is no longer finite.
    """
    train, labels = splits["train"], splits["train"].labels.long()
    for epoch in range(1, block.epochs + 1):
        visits = torch.stack([order(len(labels), seed, epoch) for seed in seeds]).to(labels.device)
        minibatches = (
            (train.images.index_select(0, rows.flatten()).view(*rows.shape, *train.images.shape[1:]), labels[rows])
            for rows in visits.split(block.batch_size, dim=1)
        )
        losses, counts = _epoch(learner, minibatches, seeds, name, epoch, block.lr)
        rows: list[Row] = [
            {"seed": seed, "epoch": epoch, "train_loss": loss / len(labels), "train_accuracy": hit / len(labels)}
            for seed, loss, hit in zip(seeds, losses, counts, strict=True)
        ]
        for other in [name for name in splits if name != "train"]:
            Z = split_logits(lambda X: learner.logits(X.expand(len(seeds), *X.shape)), splits[other])
            for row, figure in zip(rows, (figures(ops, z, splits[other].labels) for z in Z), strict=True):
                row[f"{other}_loss"], row[f"{other}_accuracy"] = figure
        yield rows


def figures(ops: Arithmetic, Z: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean loss (nats per image) and the accuracy of logits [N, K]."""
    y = labels.long()
    losses = ops.cross_entropy(Z, y, reduction="none").tolist()  # fsum rounds once, whatever the order
    return math.fsum(losses) / len(y), hits(Z, y).item() / len(y)


@torch.no_grad()
def split_logits(model: Model, split: Split, batch_size: int = 2048) -> Tensor:
    """Return the logits [..., N, K] of a whole split."""
    return torch.cat([model(X) for X in split.images.split(batch_size)], dim=-2)


def _epoch(
    learner: Learner,
    minibatches: Iterable[tuple[Tensor, Tensor]],
    seeds: Sequence[int],
    name: str,
    epoch: int,
    lr: float,
) -> tuple[list[float], list[int]]:
    """Visit every minibatch once; return each seed's sum of losses and its hits."""
    sizes, losses, counts = [], [], []
    place = "{} seed {}, epoch {}, step {}: {} at lr {}; try a smaller lr"
    try:
        for X, y in minibatches:
            loss, hit = learner.step(X, y)
            sizes.append(y.shape[-1])
            losses.append(loss)
            counts.append(hit)
    except NonFinite as error:
        seed = seeds[int(str(error.place.pop("entry", 0)))]
        raise UserError(place.format(name, seed, epoch, len(sizes) + 1, error, lr)) from None
    means = torch.stack(losses).tolist()  # the one wait for the device in an epoch
    for step, row in enumerate(means, 1):
        for seed, mean in zip(seeds, row, strict=True):
            if not math.isfinite(mean):
                raise UserError(place.format(name, seed, epoch, step, f"the loss is {mean}", lr))
    sums = [math.fsum(n * mean for n, mean in zip(sizes, column, strict=True)) for column in zip(*means, strict=True)]
    return sums, torch.stack(counts).sum(0).tolist()
