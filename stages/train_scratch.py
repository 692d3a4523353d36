"""Stage train-scratch: softmax regression with raw tensors. Writes models/DATASET/scratch."""

from pathlib import Path

from stages.command import command
from stages.learning.arithmetic import Arithmetic
from stages.learning.initial import Layer
from stages.learning.scratch import Scratch
from stages.params import Training, load
from stages.train import train


def build(ops: Arithmetic, layers: list[Layer], block: Training) -> Scratch:
    """Return the learner: one layer, by hand."""
    [(W, b)] = layers
    return Scratch(ops, W, b, block.lr, block.momentum)


def main(dataset: str) -> None:
    """Train softmax regression from scratch on DATASET, as params.yaml says under `scratch`."""
    data, out = Path("data/processed") / dataset, Path("models") / dataset / "scratch"
    train("scratch", build, load(), data, out, log=Path("logs") / dataset / "scratch.json")


if __name__ == "__main__":
    command(main)
