"""Stage train-scratch: softmax regression with raw tensors. Writes models/DATASET/scratch."""

from samebits.base.command_line import run_stage
from samebits.base.params import load
from samebits.learning.run import train
from samebits.learning.scratch import build
from samebits.seeds.training import trained


def main(dataset: str) -> None:
    """Train softmax regression from scratch on DATASET, as params.yaml says under `scratch`."""
    train(dataset, "scratch", build, load(), trained)


if __name__ == "__main__":
    run_stage(main)
