import json
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.outcome.freshness import changed_since

PARAMS = "preprocess: {resize: null}\nscratch: {lr: 0.1, hidden: []}\nmlp: {lr: 0.01}\n"
DATA, OTHER_DATA, CODE, MODEL = "da7a" * 8 + ".dir", "da7b" * 8 + ".dir", "c0de" * 8, "0dea" * 8
STAGES = {
    "preprocess@digits": {
        "cmd": "python",
        "params": {"params.yaml": {"preprocess": {"resize": None}}},
        "outs": [{"path": "data/processed/digits", "md5": DATA, "size": 3}],
    },
    "train-scratch@digits": {
        "cmd": "python",
        "deps": [{"path": "data/processed/digits", "md5": DATA}, {"path": "stages/scratch.py", "md5": CODE}],
        "params": {"params.yaml": {"scratch.lr": 0.1, "scratch.hidden": []}},
        "outs": [{"path": "models/digits/scratch/model.safetensors", "md5": MODEL, "size": 3}],
    },
    "evaluate@digits": {
        "cmd": "python",
        "params": {"params.yaml": {"mlp": {"lr": 7}}},  # of the last time: DVC writes it when the stage has ended
        "outs": [{"path": "metrics/digits/scratch.json", "md5": CODE, "size": 3}],
    },
}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    lock(STAGES)


def lock(stages):
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}) + "\n")


def changed():
    return changed_since(Path("data/processed/digits"), Path("models/digits/scratch"))


def test_nothing_changed():
    assert changed() is None


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("lr: 0.1", "lr: 0.2", "scratch.lr"),
        ("hidden: []", "hidden: [3]", "scratch.hidden"),
        ("resize: null", "resize: 8", "preprocess"),
        ("lr: 0.1, ", "", "scratch.lr"),
    ],
)
def test_a_parameter_changed(tmp_path, old, new, key):
    (tmp_path / "params.yaml").write_text(PARAMS.replace(old, new))
    assert changed() == f"{key} in params.yaml"


def test_a_parameter_of_another_run_changed(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS.replace("0.01", "0.02"))
    assert changed() is None


def test_the_data_was_made_anew_and_the_model_was_not():
    anew = {"outs": [{"path": "data/processed/digits", "md5": OTHER_DATA, "size": 3}]}
    lock(STAGES | {"preprocess@digits": STAGES["preprocess@digits"] | anew})
    assert changed() == "data/processed/digits"


def test_what_dvc_does_not_know_counts_as_unchanged(tmp_path):
    lock({})
    assert changed() is None
    (tmp_path / "dvc.lock").unlink()
    assert changed() is None


@pytest.mark.parametrize(
    "text", ["", "[1]", "3", "{}", "stages: 3", "stages: {a: 3}", "stages: {a: {cmd: b, deps: [{path: c}]}}"]
)
def test_a_lock_that_is_not_as_dvc_writes_it_is_a_sentence(text):
    Path("dvc.lock").write_text(f"{text}\n")
    with pytest.raises(UserError, match=r"^dvc.lock is empty, cut or otherwise not as DVC writes it: `samebits repro`"):
        changed()
