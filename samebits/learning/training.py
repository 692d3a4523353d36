"""The training loop, one for every model: minibatches in seeded orders, and figures after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from samebits.base.errors import UserError
from samebits.datasets.split import Split
from samebits.exact import NonFinite
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.hits import hits
from samebits.learning.initial import order
from samebits.learning.learner import Learner

if TYPE_CHECKING:  # the learning room itself needs no more than torch, numpy and safetensors
    from samebits.base.params import Schedule

Row = dict[str, float]
Model = Callable[[Tensor], Tensor]  # images [N, H, W] to logits [N, K], or [S, N, H, W] to [S, N, K]


def fit(
    ops: Arithmetic, learner: Learner, splits: Mapping[str, Split], block: Schedule, seeds: Sequence[int], name: str,
    epochs: Iterable[int] | None = None,
) -> Iterator[list[Row]]:  # fmt: skip
    """Train on splits["train"]; after each epoch give each seed's row of history, with figures for every other split.

    `epochs` are counted from 1; all of the block's unless given.

    Every seed visits the images in an order of its own. Raises UserError, naming run, seed and step, when a number is
    no longer finite.
    """
    train, labels = splits["train"], splits["train"].labels.long()
    for epoch in range(1, block.epochs + 1) if epochs is None else epochs:
        visits = torch.stack([order(len(labels), seed, epoch) for seed in seeds]).to(labels.device)
        losses, counts = _epoch(learner, train.images, labels, visits, block, seeds, f"{name} seed {{}}, epoch {epoch}")
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
    learner: Learner, images: Tensor, labels: Tensor, visits: Tensor, block: Schedule, seeds: Sequence[int], place: str
) -> tuple[list[float], list[int]]:
    """Visit every minibatch once; return each seed's sum of losses and its hits. `place` lacks the seed."""
    advice = f"at lr {block.lr}; try a smaller lr"
    try:
        losses, counts = learner.epoch(images, labels, visits, block.batch_size)
    except NonFinite as error:
        seed, step = seeds[int(str(error.place.pop("entry", 0)))], error.place.pop("step")
        raise UserError(f"{place.format(seed)}, step {step}: {error} {advice}") from None
    means = losses.tolist()  # the one wait for the device in an epoch
    for step, row in enumerate(means, 1):
        for seed, mean in zip(seeds, row, strict=True):
            if not math.isfinite(mean):
                raise UserError(f"{place.format(seed)}, step {step}: the loss is {mean} {advice}")
    sizes = [len(rows) for rows in visits[0].split(block.batch_size)]
    sums = [math.fsum(n * mean for n, mean in zip(sizes, column, strict=True)) for column in zip(*means, strict=True)]
    return sums, counts.tolist()
