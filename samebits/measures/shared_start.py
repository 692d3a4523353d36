"""Two routes to one result: by hand and by library, from the same first weights, through the same minibatches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samebits.datasets.split import Split
from samebits.exact import digest
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.initial import first_layers
from samebits.learning.scratch import Scratch
from samebits.learning.training import fit

if TYPE_CHECKING:
    from samebits.base.params import Training


def compare(ops: Arithmetic, train: Split, block: Training, classes: int, name: str) -> dict[str, Any]:
    """Train one epoch of softmax regression both ways, with `block`'s first seed, and say whether the bits agree.

    `largest_difference` is over all weights and biases; `sha256` is of the weights and biases of either way.
    """
    seeds, block = block.seeds[:1], block.model_copy(update={"epochs": 1})
    layers = first_layers([train.images[0].numel(), classes], block.init_std, seeds, train.images.device)
    scratch = Scratch(ops, *layers[0], block.lr, block.momentum)
    concise = Concise(ops, network(ops, layers), block.lr, block.momentum)
    rows = [list(fit(ops, learner, {"train": train}, block, seeds, name)) for learner in (scratch, concise)]
    by_hand, by_library = scratch.state(), dict(zip(("weight", "bias"), concise.state().values(), strict=True))
    hashes = [digest(state) for state in (by_hand, by_library)]
    return {
        "identical": hashes[0] == hashes[1] and rows[0] == rows[1],
        "largest_difference": max((by_hand[key] - by_library[key]).abs().max().item() for key in by_hand),
        "sha256": {"scratch": hashes[0], "concise": hashes[1]},
    }
