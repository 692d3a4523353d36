"""Make dvc.lock anew, after a change that is meant to change results."""

import subprocess

from samebits.base import dvc, git, paths
from samebits.base.errors import UserError
from samebits.base.files import write_text
from samebits.base.params import load
from samebits.claims import copies, pipeline

SMALL = "digits"  # its results are in dvc.lock though params.yaml does not name it: anyone can verify those in a minute


def main() -> None:
    """Write dvc.lock anew: run what is not up to date of digits and of all that params.yaml names.

    All of it in copies: dvc.lock changes here in one step at the end, and then the outputs come here.
    """
    git.require_repository("making claims")
    datasets = load().datasets
    pipeline.require([SMALL, *datasets])
    with pipeline.in_order():
        small = _computed([SMALL], [f"evaluate@{SMALL}"])
        write_text(paths.LOCK, _computed(datasets, [], small))
        if subprocess.run(dvc.line("checkout", "--quiet", "--force"), check=False).returncode:
            raise UserError("dvc.lock is made anew, but its outputs could not be brought here, for the reason above")


def _computed(datasets: list[str], targets: list[str], lock: str | None = None) -> str:
    """Return the dvc.lock that a run for `datasets` ends in; it begins with `lock`, or with the one that is here."""
    with copies.naming(datasets) as copy:
        if lock:
            write_text(copy / paths.LOCK, lock)
        copies.repro(targets, copy, {**copies.at_home(), "SEED_STORE": "off"})  # what is claimed is computed
        return (copy / paths.LOCK).read_text(encoding="utf-8")
