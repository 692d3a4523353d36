"""What can be known to be wrong before anything runs: `python -m stages.check`, the first step of `make repro`."""

from pathlib import Path

from stages.command import command
from stages.datasets import catalog
from stages.learning.device import chosen
from stages.params import load


def main() -> None:
    """Check params.yaml, that data/catalog.yaml has its datasets, and that DEVICE names a device."""
    params, entries = load(), catalog.load(Path("data/catalog.yaml"))
    for dataset in params.datasets:
        entries.entry(dataset)
    chosen()


if __name__ == "__main__":
    command(main)
