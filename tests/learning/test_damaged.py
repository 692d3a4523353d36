"""Files of models and splits that somebody damaged: a sentence, for every mutation."""

import json
import os

import pytest
import torch
from safetensors.torch import save

from samebits.base.errors import UserError
from samebits.datasets.scale import Scale
from samebits.datasets.split import load_split
from samebits.learning.arithmetic import arithmetic
from samebits.learning.description import KEY, describe
from samebits.learning.load import load_models
from tests.made.mutations import mutated

MANY = int(os.environ.get("FAULTS", "300"))
NAMES = ("1.weight", "1.bias", "3.weight", "3.bias")
GOOD = dict(zip(NAMES, map(torch.ones, ((2, 3, 4), (2, 3), (2, 5, 3), (2, 5))), strict=True))
ABOUT = {"dataset": "x", "run": "mlp", "arithmetic": "exact 2", "classes": ["a"], "image": [2, 2], "seeds": [1, 2]}
TABLE = {**ABOUT, "image": [1, 4], "columns": [[name, -0.5, 1.0] for name in "abcd"]}


@pytest.mark.parametrize(
    "change",
    [{"1.bias": None}, dict.fromkeys(NAMES), {"1.bias": torch.ones(2, 4)},
     {"3.weight": torch.ones(2, 5, 4)}, {"3.weight": torch.ones(1, 5, 3), "3.bias": torch.ones(1, 5)},
     {"1.weight": torch.ones(3, 4)}, {"1.weight": torch.ones(())}, {"x.weight": torch.ones(2, 3, 4)},
     {"1.weight": torch.ones(2, 3, 4, dtype=torch.int32)}],
)  # fmt: skip
def test_layers_that_are_none_are_a_sentence(tmp_path, change):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({name: x for name, x in {**GOOD, **change}.items() if x is not None}))
    with pytest.raises(UserError, match="does not hold the layers of a model"):
        load_models(path, arithmetic("float32"), "cpu")
    path.write_bytes(save(GOOD))
    assert len(load_models(path, arithmetic("float32"), "cpu")) == 2


@pytest.mark.parametrize(
    "change", [{"classes": 5}, {"classes": [1]}, {"classes": []}, {"image": [2]}, {"image": ["a", 2]},
               {"seeds": [True]}, {"seeds": [-1]}, {"run": None}, {"arithmetic": 3}, {"dataset": ["x"]}]
)  # fmt: skip
def test_a_description_of_other_types_is_none(tmp_path, change):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(GOOD, {KEY: json.dumps(ABOUT)}))
    assert describe(path).seeds == [1, 2]
    path.write_bytes(save(GOOD, {KEY: json.dumps({**ABOUT, **change})}))
    with pytest.raises(UserError, match="is no model of this project"):
        describe(path)


@pytest.mark.parametrize("columns", [5, [], {}, [["a", 0.0]] * 4, [["a", 0.0, 1.0]] * 3, [["a", 1.0, 0.0]] * 4,
                                     [["a", 0, 1]] * 4, [[1, 0.0, 1.0]] * 4, [["a", 0.0, float("nan")]] * 4,
                                     [["a", -1.5e308, 1.5e308]] * 4, [["a", "0", "1"]] * 4, [None] * 4])  # fmt: skip
def test_columns_that_are_none_are_no_description(tmp_path, columns):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(GOOD, {KEY: json.dumps(TABLE)}))
    assert describe(path).columns == [(name, -0.5, 1.0) for name in "abcd"]
    for wrong in ({**TABLE, "columns": columns}, {**TABLE, "image": [2, 2]}):
        path.write_bytes(save(GOOD, {KEY: json.dumps(wrong)}))
        with pytest.raises(UserError, match="is no model of this project"):
            describe(path)


def test_mutations_are_sentences(tmp_path):
    """FAULTS=2000 tries more."""
    (tmp_path / "columns.csv").write_text("column,least,greatest\na,0.5,1\nb,-1,2\n")
    (tmp_path / "test.safetensors").write_bytes(
        save({"images": torch.ones(3, 2, 2, dtype=torch.uint8), "labels": torch.ones(3, dtype=torch.uint8)})
    )
    (tmp_path / "model").write_bytes(save(GOOD, {KEY: json.dumps(ABOUT)}))
    (tmp_path / "of a table").write_bytes(save(GOOD, {KEY: json.dumps(TABLE)}))
    readers = {
        "of a table": describe,
        "columns.csv": Scale.read,
        "test.safetensors": lambda path: load_split(path.parent, "test"),
        "model": lambda path: (load_models(path, arithmetic("float32"), "cpu"), describe(path)),
    }
    for name, reader in readers.items():
        path = tmp_path / name
        data, refused = path.read_bytes(), 0
        reader(path)
        for number in range(MANY):
            path.write_bytes(mutated(data, number))
            try:
                reader(path)
            except UserError:
                refused += 1
            except Exception as error:
                pytest.fail(f"{name}, mutation {number}: {type(error).__name__}: {error}")
        assert refused > MANY / 4
