"""Make dvc.lock anew, after a change that is meant to change results."""

import subprocess
from collections.abc import Mapping
from typing import Any

from samebits.base import dvc, git, paths
from samebits.base.errors import UserError
from samebits.base.files import write_text
from samebits.base.params import load
from samebits.claims import copies, overlays, pipeline


def main() -> None:
    """Write dvc.lock anew: run what is not up to date of all that params.yaml and claims.yaml name.

    All of it in copies: dvc.lock changes here in one step at the end, and then the outputs come here.
    """
    git.require_repository("making claims")
    datasets = load().datasets
    beside = overlays.read()
    pipeline.require([*beside, *datasets])
    for dataset in beside:
        overlays.load(dataset)  # or say what is wrong with it before the first is computed
    with pipeline.in_order():
        lock = None
        for dataset, changes in beside.items():
            lock = _computed([dataset], [f"evaluate@{dataset}"], lock, changes)
        write_text(paths.LOCK, _computed(datasets, [], lock))
        if subprocess.run(dvc.line("checkout", "--quiet", "--force"), check=False).returncode:
            raise UserError("dvc.lock is made anew, but its outputs could not be brought here, for the reason above")


def _computed(
    datasets: list[str], targets: list[str], lock: str | None = None, changes: Mapping[str, Any] | None = None
) -> str:
    """Return the dvc.lock that a run for `datasets` ends in; it begins with `lock`, or with the one that is here."""
    with copies.naming(datasets, changes) as copy:
        if lock:
            write_text(copy / paths.LOCK, lock)
        copies.repro(targets, copy, {**copies.at_home(), "SEED_STORE": "off"})  # what is claimed is computed
        return (copy / paths.LOCK).read_text(encoding="utf-8")
