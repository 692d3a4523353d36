"""A project folder in which tiny models of digits are really trained and evaluated, once in a process."""

import contextlib
import functools
import tempfile
from pathlib import Path

import pytest

from samebits.tracking import best_effort
from stages import download, evaluate, preprocess, train_concise, train_scratch
from tests.conftest import ROOT

PARAMS = """
datasets: [digits]
networks: []
arithmetic: exact
preprocess: {resize: null, validation_size: 0}
scratch: {seeds: [7, 5], epochs: 2, batch_size: 256, lr: 0.5, momentum: 0.0, init_std: 0.01, hidden: []}
concise: {seeds: [7], epochs: 1, batch_size: 256, lr: 0.1, momentum: 0.0, init_std: 0.01, hidden: []}
mlp: {seeds: [7, 5], epochs: 6, batch_size: 64, lr: 0.3, momentum: 0.5, init_std: null, hidden: [32]}
"""
_scratch = tempfile.TemporaryDirectory()  # goes with the process


@functools.cache
def digits() -> Path:
    """Return the folder: params.yaml, data/, models/, metrics/ and predictions/ of the dataset digits."""
    folder = Path(_scratch.name)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "data").mkdir()
    for name in ("dvc.yaml", "requirements.lock", "data/catalog.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATASET_MIRROR", raising=False)
        patch.delenv("DEVICE", raising=False)
        patch.setattr(best_effort, "publish", lambda *datasets: None)
        for stage in (download, preprocess, train_scratch):
            stage.main("digits")
        for run in ("concise", "mlp"):
            train_concise.main("digits", run)
        evaluate.main("digits")
    return folder
