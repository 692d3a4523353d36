import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from samebits.claims.contents import cells, describe, keys, tensors

WEIGHT = np.arange(6, dtype=np.float64).reshape(2, 3)


def told(said: str | None) -> str:
    assert said is not None
    return said


def changed(index, value, array=WEIGHT):
    other = array.copy()
    other[index] = value
    return other


def test_equal_tensors_say_nothing_even_where_they_hold_nan():
    weight = changed((0, 0), np.nan)
    assert tensors({"weight": weight}, {"weight": weight.copy()}) is None


@pytest.mark.parametrize(
    ("here", "said"),
    [
        (changed((1, 2), 5.5), "tensor weight of shape (2, 3), 1 of 6 values differ, by at most 0.5"),
        (changed((1, 2), np.nextafter(5, 6)), "1 of 6 values differ, by at most 8.88e-16"),
        (changed((0, 0), -0.0), "1 of 6 values differ, by at most 0"),
        (changed((0, 0), np.nan), "1 of 6 values differ, by at most nan"),
        (changed((0, slice(None)), -9), "3 of 6 values differ, by at most 11"),
        (WEIGHT.T, "tensor weight is float64 (2, 3) in dvc.lock, float64 (3, 2) here"),
        (WEIGHT.astype(np.float32), "tensor weight is float64 (2, 3) in dvc.lock, float32 (2, 3) here"),
    ],
)
def test_the_tensor_and_the_amount_are_named(here, said):
    assert said in told(tensors({"weight": WEIGHT}, {"weight": here}))


def test_pixels_are_subtracted_as_numbers_not_modulo_256():
    pixels = np.zeros((1, 2, 2), np.uint8)
    bright = changed((0, 0, 0), 255, pixels)
    assert told(tensors({"images": pixels}, {"images": bright})).endswith("by at most 255")
    assert told(tensors({"images": bright}, {"images": pixels})).endswith("by at most 255")


def test_the_first_of_several_tensors_is_named_and_the_others_are_counted():
    said = told(tensors({"a": WEIGHT, "b": WEIGHT, "c": WEIGHT}, {"a": WEIGHT, "b": WEIGHT + 1, "c": WEIGHT + 2}))
    assert said.startswith("tensor b ")
    assert said.endswith("(and 1 more of 3 tensors)")


def test_a_tensor_on_one_side_only_is_named():
    assert tensors({"a": WEIGHT}, {}) == "tensor a is only in dvc.lock"
    assert tensors({}, {"a": WEIGHT}) == "tensor a is only here"


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ([["seed", "loss"], ["0", "0.5"], ["1", "0.3"]], "line 3, column loss: 0.25 in dvc.lock, 0.3 here"),
        ([["seed", "loss"], ["0", "0.5"]], "line 3, column seed: 1 in dvc.lock, nothing here"),
        ([["seed", "gain"], ["0", "0.5"], ["1", "0.25"]], "line 1, column 2: loss in dvc.lock, gain here"),
        ([["seed", "loss"], ["0", "0.5", "9"], ["1", "0.25"]], "line 2, column 3: nothing in dvc.lock, 9 here"),
        ([["seed", "loss"], ["0", "0.5"], ["1", "0.25"]], None),
    ],
)
def test_the_first_cell_that_differs_is_named(here, said):
    assert cells([["seed", "loss"], ["0", "0.5"], ["1", "0.25"]], here) == said


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ({"seeds": [0, 1], "test": {"loss": {"mean": 0.6}}}, "test.loss.mean: 0.5 in dvc.lock, 0.6 here"),
        ({"seeds": [0, 2], "test": {"loss": {"mean": 0.5}}}, "seeds[1]: 1 in dvc.lock, 2 here"),
        ({"seeds": [0], "test": {"loss": {"mean": 0.5}}}, "seeds[1]: 1 in dvc.lock, nothing here"),
        ({"seeds": [0, 1.0], "test": {"loss": {"mean": 0.5}}}, "seeds[1]: 1 in dvc.lock, 1.0 here"),
        ({"seeds": [0, 1], "test": 3}, 'test: {"loss": {"mean": 0.5}} in dvc.lock, 3 here'),
        ({"seeds": [0, 1], "test": {"loss": {"mean": 0.5}}, "new": None}, "new: nothing in dvc.lock, null here"),
        ([], "the whole: "),
        ({"test": {"loss": {"mean": 0.5}}, "seeds": [0, 1]}, None),
    ],
)
def test_the_first_key_that_differs_is_named(here, said):
    found = keys({"seeds": [0, 1], "test": {"loss": {"mean": 0.5}}}, here)
    assert found == said or (said and told(found).startswith(said))


def test_files_are_read_by_their_kind(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    save_file({"weight": WEIGHT}, old)
    save_file({"weight": WEIGHT + 1}, new)
    assert told(describe(old, new, ".safetensors")).startswith("tensor weight")
    old.write_text("a,b\n1,2\n")
    new.write_text("a,b\n1,3\n")
    assert told(describe(old, new, ".csv")).startswith("line 2, column b")
    assert describe(old, new, ".html") is None
    old.write_text(json.dumps({"a": 1}))
    new.write_text(json.dumps({"a": 2}))
    assert told(describe(old, new, ".json")).startswith("a: 1")


@pytest.mark.parametrize("kind", [".safetensors", ".csv", ".json"])
def test_a_file_that_is_not_of_its_kind_does_not_cost_the_verdict(tmp_path, kind):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"\xff\x00rubbish")
    new.write_bytes(b"\xfe\x00rubbish")
    assert describe(old, new, kind) is None
