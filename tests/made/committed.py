"""A folder with the data of digits, dvc.lock, and the committed model of scratch, trained anew, once in a process."""

import contextlib
import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from samebits.base.yaml import read_yaml
from samebits.tracking import best_effort
from stages import download, preprocess, train_scratch
from tests.conftest import ROOT

_scratch = tempfile.TemporaryDirectory()  # goes with the process


@functools.cache
def project() -> Path:
    """Return the folder."""
    folder = Path(_scratch.name)
    (folder / "data").mkdir()
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", "requirements.lock", "data/catalog.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name in ("DATASET_MIRROR", "DEVICE", "WORKERS"):
            patch.delenv(name, raising=False)
        patch.setenv("SEED_STORE", "off")
        patch.setattr(best_effort, "publish", lambda *datasets: None)
        for stage in (download, preprocess, train_scratch):
            stage.main("digits")
    return folder


def locked(dataset: str, run: str) -> str:
    """Return the hashes of a model and its history in dvc.lock."""
    stages = read_yaml(ROOT / "dvc.lock")["stages"]
    stage = f"train-scratch@{dataset}" if run == "scratch" else f"train-concise@{dataset}-{run}"
    outs = {Path(out["path"]).name: out["md5"] for out in stages[stage]["outs"]}
    return f"model {outs['model.safetensors']}, history {outs['history.csv']}"
