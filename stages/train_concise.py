"""Stage train-concise: the models of torch.nn. Writes models/DATASET/{concise,mlp}."""

from samebits.base.command_line import run_stage
from samebits.base.params import Training, load
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.initial import Layer
from samebits.learning.run import train


def build(ops: Arithmetic, layers: list[Layer], block: Training) -> Concise:
    """Return the learner: a list of layers, a loss and an optimizer."""
    return Concise(ops, network(ops, layers), block.lr, block.momentum)


def main(dataset: str, run: str) -> None:
    """Train RUN, concise or mlp, on DATASET, as params.yaml says under RUN."""
    train(dataset, run, build, load())


if __name__ == "__main__":
    run_stage(main)
