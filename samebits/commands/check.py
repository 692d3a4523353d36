"""What can be known to be wrong before anything runs: the first step of `make repro`."""

from samebits.base import lockfile
from samebits.claims import pipeline


def main() -> None:
    """Check params.yaml, its datasets, DEVICE, WORKERS, dvc.lock, and that Git is there."""
    pipeline.require_ready()
    lockfile.read()
