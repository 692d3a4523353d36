"""The way of a seed through its training, epoch by epoch, from wherever it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from samebits.base.errors import UserError
from samebits.datasets.split import Split
from samebits.exact import NonFinite, at
from samebits.learning import chain
from samebits.learning.arithmetic import Arithmetic, Name, arithmetic, prepared
from samebits.learning.initial import first_layers
from samebits.learning.learner import Learner
from samebits.learning.training import Row, fit

if TYPE_CHECKING:
    from samebits.base.params import Schedule, Training

TOGETHER = 2**23  # weights of the seeds that train side by side, in all: what a machine holds in its memory with ease

Build = Callable[[Arithmetic, Any, Any], Learner]  # from what `Course.first` gives, and the block


@dataclass(frozen=True)
class Standing:
    """How far a seed has come: its epochs, their rows of history, what its learner carries on from there, without a
    seeds' axis (at the end that is its model alone), and the chain of its epochs, a hash each.
    """

    seed: int
    epoch: int = 0
    rows: list[Row] = field(default_factory=list)
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    chain: list[str] = field(default_factory=list)

    def after(self, row: Row, carried: Mapping[str, Tensor]) -> Standing:
        """Return where the seed stands one epoch later. Raises NonFinite for what is no number in what it carries."""
        sha = chain.link(self.chain[-1] if self.chain else chain.BEGIN, row, carried)
        return Standing(self.seed, self.epoch + 1, [*self.rows, row], carried, [*self.chain, sha])


@dataclass(frozen=True)
class Course:
    """All that decides where a seed ends; and where it is computed, which decides nothing.

    `name` is of dataset and run, for messages; `build` makes a learner from its first weights; `widths` are those of
    its layers, from pixels to classes. A network of one's own is of `layers`: see own.
    """

    name: str
    arithmetic: Name
    block: Schedule
    build: Build
    splits: Mapping[str, Split]
    widths: list[int]
    where: torch.device
    layers: list[dict[str, Any]] | None = None

    def first(self, seeds: Sequence[int]) -> Any:
        """Return what `build` begins with: the first weights of these seeds."""
        return first_layers(self.widths, cast("Training", self.block).init_std, seeds, self.where)

    def prepare(self) -> None:
        """Load compiled kernels, if so much work is worth it."""
        prepared(arithmetic(self.arithmetic, self.where), self.where, self.work())

    def work(self) -> int:
        """Return how many pixels and weights pass by until all seeds have ended."""
        images, block = len(self.splits["train"].labels), self.block
        steps = -(-images // block.batch_size) * block.epochs * len(block.seeds)
        return steps * (block.batch_size * self.widths[0] + self.weights())

    def weights(self) -> int:
        """Return how many weights a seed has."""
        return int(math.fsum(a * b for a, b in pairwise(self.widths)))

    def groups(self, seeds: Sequence[Standing], most: int = TOGETHER) -> Iterator[list[Standing]]:
        """Split seeds into those that train side by side, at most so many, all as far; no result depends on how."""
        size = max(1, min(most, TOGETHER // self.weights()))
        for epoch in sorted({each.epoch for each in seeds}):
            alike = [each for each in seeds if each.epoch == epoch]
            for start in range(0, len(alike), size):
                yield alike[start : start + size]

    def follow(self, group: Sequence[Standing], epochs: int | None = None) -> Iterator[Group]:
        """Train seeds that stand at the same epoch, so many epochs further or to the end; give what each epoch leaves.

        Raises UserError, naming run, seed and step, when a number is no longer finite.
        """
        ops, seeds, start = arithmetic(self.arithmetic, self.where), [each.seed for each in group], group[0].epoch
        learner = self.build(ops, self.first(seeds), self.block)
        if start:
            learner.go_on({name: torch.stack([each.carried[name] for each in group]) for name in group[0].carried})
        reached, end = Group(list(group), learner, self.block.epochs), start + (epochs or self.block.epochs)
        ahead = range(start + 1, min(end, self.block.epochs) + 1)
        for rows in fit(ops, learner, self.splits, self.block, seeds, self.name, ahead):
            reached = self._after(reached, rows)
            yield reached

    def _after(self, reached: Group, rows: Sequence[Row]) -> Group:
        try:
            return reached.after(rows)
        except NonFinite as error:
            row, advice = rows[int(str(error.place.pop("entry")))], f"at lr {self.block.lr}; try a smaller lr"
            where = f"{self.name} seed {row['seed']}, at the end of epoch {row['epoch']}"
            raise UserError(f"{where}: {error} {advice}") from None


@dataclass(frozen=True)
class Group:
    """Seeds side by side after an epoch; what they carry is the learner's own, and changes with its next epoch."""

    seeds: list[Standing]
    learner: Learner
    epochs: int  # of the whole course

    @property
    def ended(self) -> bool:
        """Whether this was the last epoch."""
        return self.seeds[0].epoch == self.epochs

    def after(self, rows: Sequence[Row]) -> Group:
        """Return the group as it is one epoch later. Raises NonFinite, whose `entry` is the seed's place."""
        last = self.seeds[0].epoch + 1 == self.epochs
        all_carry = self.learner.state() if last else self.learner.carried()
        on_cpu = {name: tensor.cpu() for name, tensor in all_carry.items()}
        further = []
        for i, (each, row) in enumerate(zip(self.seeds, rows, strict=True)):
            with at(entry=i):
                further.append(each.after(row, {name: tensor[i] for name, tensor in on_cpu.items()}))
        return Group(further, self.learner, self.epochs)

    def standings(self) -> list[Standing]:
        """Return where each seed stands now, what it carries in memory of its own."""
        return [
            replace(each, carried={name: tensor.clone() for name, tensor in each.carried.items()})
            for each in self.seeds
        ]
