"""Stage train-scratch: softmax regression with raw tensors. Writes models/DATASET/scratch."""

from samebits.base.command_line import run_stage
from samebits.base.params import Training, load
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.initial import Layer
from samebits.learning.run import train
from samebits.learning.scratch import Scratch


def build(ops: Arithmetic, layers: list[Layer], block: Training) -> Scratch:
    """Return the learner: one layer, by hand."""
    [(W, b)] = layers
    return Scratch(ops, W, b, block.lr, block.momentum)


def main(dataset: str) -> None:
    """Train softmax regression from scratch on DATASET, as params.yaml says under `scratch`."""
    train(dataset, "scratch", build, load())


if __name__ == "__main__":
    run_stage(main)
