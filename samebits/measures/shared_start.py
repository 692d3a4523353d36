"""Routes to one result, by hand, by library and fused, from the same first weights, through the same minibatches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samebits import exact
from samebits.datasets.split import Split
from samebits.learning.arithmetic import Arithmetic, on_integers, prepared
from samebits.learning.concise import Concise, network
from samebits.learning.fused import quickest
from samebits.learning.initial import first_layers
from samebits.learning.learner import Learner
from samebits.learning.scratch import Scratch
from samebits.learning.training import fit

if TYPE_CHECKING:
    from samebits.base.params import Training


EPOCHS = 30  # as many as a real training has: for that it pays to compile


def compare(ops: Arithmetic, train: Split, block: Training, classes: int, name: str) -> dict[str, Any]:
    """Train one epoch of softmax regression each way, with `block`'s first seed, and say whether the bits agree.

    In exact arithmetic there is a third way, the quickest, in which the networks are trained. `largest_difference` is
    over all weights and biases; `sha256` is of those that each way ends in.
    """
    where, seeds, block = train.images.device, block.seeds[:1], block.model_copy(update={"epochs": 1})
    prepared(ops, where, EPOCHS * train.images.numel())
    layers = first_layers([train.images[0].numel(), classes], block.init_std, seeds, where)
    learners: dict[str, Learner] = {
        "scratch": Scratch(ops, *layers[0], block.lr, block.momentum),
        "concise": Concise(ops, network(ops, layers), block.lr, block.momentum),
    }
    if on_integers(ops):
        learners["fused"] = quickest(ops, network(ops, layers), block.lr, block.momentum)
    rows = [list(fit(ops, learner, {"train": train}, block, seeds, name)) for learner in learners.values()]
    ends = [dict(zip(("weight", "bias"), learner.state().values(), strict=True)) for learner in learners.values()]
    hashes = {way: exact.digest(end) for way, end in zip(learners, ends, strict=True)}
    gaps = [(end[key] - ends[0][key]).abs().max().item() for end in ends[1:] for key in end]
    return {
        "identical": len(set(hashes.values())) == 1 and all(row == rows[0] for row in rows),
        "largest_difference": max(gaps),
        "sha256": hashes,
    }
