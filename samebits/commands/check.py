"""What can be known to be wrong before anything runs: the first step of `make repro`."""

from samebits.base import git, paths
from samebits.base.params import load
from samebits.datasets import catalog
from samebits.learning.device import chosen


def main() -> None:
    """Check params.yaml, its datasets, DEVICE, and that Git is there."""
    params, entries = load(), catalog.load(paths.CATALOG)
    for dataset in params.datasets:
        entries.entry(dataset)
    chosen()
    git.require_repository("`dvc repro`")
