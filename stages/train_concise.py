"""Stage train-concise: the models of torch.nn. Writes models/DATASET/{concise,mlp}."""

from pathlib import Path

from stages.command import command
from stages.learning.arithmetic import Arithmetic
from stages.learning.concise import Concise, network
from stages.learning.initial import Layer
from stages.params import Training, load
from stages.train import train


def build(ops: Arithmetic, layers: list[Layer], block: Training) -> Concise:
    """Return the learner: a list of layers, a loss and an optimizer."""
    return Concise(ops, network(ops, layers), block.lr, block.momentum)


def main(dataset: str, model: str) -> None:
    """Train MODEL, concise or mlp, on DATASET, as params.yaml says under MODEL."""
    data, out = Path("data/processed") / dataset, Path("models") / dataset / model
    train(model, build, load(), data, out, log=Path("logs") / dataset / f"{model}.json")


if __name__ == "__main__":
    command(main)
