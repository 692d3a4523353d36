"""Runs with the parameters of the notes."""

from collections.abc import Sequence
from typing import Any

from samebits.base.params import Training
from samebits.report.notes import PARAMETERS


def training(run: str, seeds: Sequence[int], **changes: Any) -> Training:
    """The notes' own parameters of a run, some of them perhaps changed."""
    return Training(seeds=list(seeds), **(PARAMETERS[run] | changes))
