"""Stage train-network: networks of one's own. Writes models/DATASET/NAME."""

from samebits.base.command_line import run_stage
from samebits.base.params import load
from samebits.learning.own import train
from samebits.seeds.training import trained


def main(dataset: str, name: str) -> None:
    """Train the network of networks/NAME.py on DATASET, as params.yaml says under NAME."""
    train(dataset, name, load(), trained)


if __name__ == "__main__":
    run_stage(main)
