import csv
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.base.params import load
from samebits.datasets.arrays import save
from samebits.datasets.scale import SCALE, Scale
from samebits.datasets.split import Split
from samebits.learning.arithmetic import arithmetic, judging
from samebits.learning.description import describe
from samebits.learning.fused import build
from samebits.learning.load import load_models
from samebits.learning.run import train
from samebits.learning.training import figures, split_logits
from samebits.seeds.training import trained
from tests.learning.test_training import images

NONE = Split(torch.zeros(0, 6, 6, dtype=torch.uint8), torch.zeros(0, dtype=torch.uint8))


@pytest.fixture
def data(tmp_path, monkeypatch):
    splits = {"train": images(300, 1), "validation": NONE, "test": images(100, 2)}
    defaults = load()
    monkeypatch.chdir(tmp_path)
    save(paths.processed("x"), "x", "X", list("abcdefghij"), splits)
    return defaults


def params(defaults, **changes):
    block = {"seeds": [3, 5], "epochs": 2, "batch_size": 64, "hidden": [12]}
    mlp = defaults.mlp.model_copy(update=block | changes)
    return defaults.model_copy(update={"mlp": mlp, "arithmetic": "exact"})


def test_a_run_leaves_its_model_history_and_log(data):
    train("x", "mlp", build, params(data), trained)
    with paths.history("x", "mlp").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["seed", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert [(row["seed"], row["epoch"]) for row in rows] == [("3", "1"), ("3", "2"), ("5", "1"), ("5", "2")]
    assert describe(paths.model("x", "mlp")).arithmetic == "exact 2"
    assert {tensor.dtype for tensor in load_file(paths.model("x", "mlp")).values()} == {torch.float32}
    ops = judging("exact 2")
    for model, row in zip(load_models(paths.model("x", "mlp"), ops, torch.device("cpu")), rows[1::2], strict=True):
        loss, accuracy = figures(ops, split_logits(model, images(100, 2)), images(100, 2).labels)
        assert (repr(loss), repr(accuracy)) == (row["test_loss"], row["test_accuracy"])
    log = json.loads(paths.log("x", "mlp").read_text())
    assert log["model_sha256"] == sha256(paths.model("x", "mlp"))
    assert log["seconds"] > 0


def test_the_model_of_a_table_takes_its_columns_along(data):
    splits = {name: Split(split.images[:, :1], split.labels) for name, split in
              {"train": images(300, 1), "validation": NONE, "test": images(100, 2)}.items()}  # fmt: skip
    save(paths.processed("x"), "x", "X", list("abcdefghij"), splits)
    scale = Scale(list("uvwxyz"), np.full(6, -1 / 3), np.full(6, 1e17))
    scale.write(paths.processed("x") / SCALE)
    train("x", "mlp", build, params(data), trained)
    assert describe(paths.model("x", "mlp")).columns == scale.ranges() == [(name, -1 / 3, 1e17) for name in "uvwxyz"]
    Scale(["u"], np.zeros(1), np.ones(1)).write(paths.processed("x") / SCALE)
    with pytest.raises(UserError, match=r"^data/processed/x/columns.csv is of other splits than those beside it"):
        train("x", "mlp", build, params(data), trained)


def test_a_validation_split_has_columns_of_its_own(data):
    splits = {"train": images(300, 1), "validation": images(50, 3), "test": images(100, 2)}
    save(paths.processed("x"), "x", "X", list("abcdefghij"), splits)
    train("x", "mlp", build, params(data), trained)
    header = paths.history("x", "mlp").read_text().splitlines()[0]
    assert header.endswith("test_loss,test_accuracy,validation_loss,validation_accuracy")


def test_a_seeds_bits_do_not_depend_on_the_other_seeds(data):
    cpu, ops = torch.device("cpu"), arithmetic("exact")
    train("x", "mlp", build, params(data), trained)
    _, second = load_models(paths.model("x", "mlp"), ops, cpu)
    train("x", "mlp", build, params(data, seeds=[5]), trained)
    [alone] = load_models(paths.model("x", "mlp"), ops, cpu)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


@pytest.mark.parametrize("changes", [{"batch_size": 2**22}, {"hidden": [2**40]}])
def test_what_53_bits_cannot_do_is_refused_before_training(data, changes):
    with pytest.raises(UserError, match=r"arithmetic exact cannot do this: .*53 bits - \d+ for the sum"):
        train("x", "mlp", build, params(data, **changes), trained)
    assert not paths.MODELS.exists()


def test_missing_data_are_named(data):
    with pytest.raises(UserError, match=r"summary\.json is missing"):
        train("nowhere", "mlp", build, params(data), trained)
