"""Stage train-concise: the models of torch.nn. Writes models/DATASET/{concise,mlp}."""

from samebits.base.command_line import run_stage
from samebits.base.params import load
from samebits.learning.fused import build
from samebits.learning.run import train
from samebits.seeds.training import trained


def main(dataset: str, run: str) -> None:
    """Train RUN, concise or mlp, on DATASET, as params.yaml says under RUN."""
    train(dataset, run, build, load(), trained)


if __name__ == "__main__":
    run_stage(main)
