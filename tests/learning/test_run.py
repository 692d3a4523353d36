import csv
import json

import pytest
import torch

from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.base.params import load
from samebits.datasets.arrays import save
from samebits.datasets.split import Split
from samebits.learning.arithmetic import arithmetic
from samebits.learning.load import load_models
from samebits.learning.run import train
from samebits.learning.training import figures, logits
from stages.train_concise import build
from tests.learning.test_training import images

NONE = Split(torch.zeros(0, 6, 6, dtype=torch.uint8), torch.zeros(0, dtype=torch.uint8))


@pytest.fixture
def data(tmp_path):
    splits = {"train": images(300, 1), "validation": NONE, "test": images(100, 2)}
    save(tmp_path / "x", "x", "X", list("abcdefghij"), splits)
    return tmp_path / "x"


def params(**changes):
    defaults = load()
    block = {"seeds": [3, 5], "epochs": 2, "batch_size": 64, "hidden": [12]}
    mlp = defaults.mlp.model_copy(update=block | changes)
    return defaults.model_copy(update={"mlp": mlp, "arithmetic": "exact"})


def test_a_run_leaves_its_model_history_and_log(data, tmp_path):
    train("mlp", build, params(), data, tmp_path / "out", tmp_path / "log.json")
    with (tmp_path / "out/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["seed", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert [(row["seed"], row["epoch"]) for row in rows] == [("3", "1"), ("3", "2"), ("5", "1"), ("5", "2")]
    ops = arithmetic("exact")
    for model, row in zip(
        load_models(tmp_path / "out/model.safetensors", ops, torch.device("cpu")), rows[1::2], strict=True
    ):
        loss, accuracy = figures(ops, logits(model, images(100, 2)), images(100, 2).labels)
        assert (repr(loss), repr(accuracy)) == (row["test_loss"], row["test_accuracy"])
    log = json.loads((tmp_path / "log.json").read_text())
    assert log["model_sha256"] == sha256(tmp_path / "out/model.safetensors")
    assert log["seconds"] > 0


def test_a_validation_split_has_columns_of_its_own(data, tmp_path):
    splits = {"train": images(300, 1), "validation": images(50, 3), "test": images(100, 2)}
    save(data, "x", "X", list("abcdefghij"), splits)
    train("mlp", build, params(), data, tmp_path / "out", tmp_path / "log.json")
    header = (tmp_path / "out/history.csv").read_text().splitlines()[0]
    assert header.endswith("test_loss,test_accuracy,validation_loss,validation_accuracy")


def test_a_seeds_bits_do_not_depend_on_the_other_seeds(data, tmp_path):
    train("mlp", build, params(), data, tmp_path / "both", tmp_path / "log.json")
    train("mlp", build, params(seeds=[5]), data, tmp_path / "one", tmp_path / "log.json")
    cpu, ops = torch.device("cpu"), arithmetic("exact")
    _, second = load_models(tmp_path / "both/model.safetensors", ops, cpu)
    [alone] = load_models(tmp_path / "one/model.safetensors", ops, cpu)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


@pytest.mark.parametrize("changes", [{"batch_size": 2**22}, {"hidden": [2**40]}])
def test_what_53_bits_cannot_do_is_refused_before_training(data, tmp_path, changes):
    with pytest.raises(UserError, match=r"arithmetic exact cannot do this: .*53 bits - \d+ for the sum"):
        train("mlp", build, params(**changes), data, tmp_path / "out", tmp_path / "log.json")
    assert not (tmp_path / "out").exists()


def test_missing_data_are_named(tmp_path):
    with pytest.raises(UserError, match=r"summary\.json is missing"):
        train("mlp", build, params(), tmp_path / "nowhere", tmp_path / "out", tmp_path / "log.json")
