from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.learning.arithmetic import arithmetic
from samebits.learning.concise import network
from samebits.learning.description import Description, describe
from samebits.learning.initial import first_layers
from samebits.learning.load import load_models, load_trained
from samebits.learning.save import write_model

CPU = torch.device("cpu")


DESCRIPTION = Description("digits", "mlp", "float32", ["a", "b"], [2, 2], [5, 6])


def states(ops, widths, seeds):
    return [
        {n: x[0] for n, x in network(ops, first_layers(widths, 0.1, [seed])).state_dict().items()} for seed in seeds
    ]


def test_models_come_back_seed_by_seed(tmp_path):
    ops = arithmetic("float32")
    written = states(ops, [4, *[3] * 11, 2], [5, 6])  # eleven hidden layers: 3.weight must not follow 21.weight
    write_model(tmp_path / "model.safetensors", written, DESCRIPTION)
    models = load_models(tmp_path / "model.safetensors", ops, CPU)
    assert len(models) == 2
    for model, state in zip(models, written, strict=True):
        assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())


def test_a_single_layer_needs_no_number(tmp_path):
    ops = arithmetic("float32")
    write_model(tmp_path / "model.safetensors", [{"weight": torch.ones(2, 4), "bias": torch.zeros(2)}], DESCRIPTION)
    [model] = load_models(tmp_path / "model.safetensors", ops, CPU)
    assert model(torch.ones(1, 2, 2)).tolist() == [[4, 4]]


def test_only_a_tables_model_has_columns(tmp_path):
    path, weights = tmp_path / "model.safetensors", [{"weight": torch.ones(2, 4)}]
    write_model(path, weights, DESCRIPTION)
    assert sha256(path) == "73e4d53250e8c7f1c2d4e27d3ae519dc5c2abf572d425a5581676cffcde88e55", (
        "not a byte of them moved when tables got columns"
    )
    table = replace(DESCRIPTION, image=[1, 2], columns=[("a, b", 0.1, 1e300), ("c", -1 / 3, 5e-324)])
    write_model(path, weights, table)
    assert describe(path) == table, "to the last bit"


def test_negative_zeros_do_not_reach_the_file(tmp_path):
    for sign in (1, -1):
        write_model(tmp_path / str(sign), [{"weight": sign * torch.zeros(2, 4)}], DESCRIPTION)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "-1").read_bytes()


def test_a_missing_or_truncated_model_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match=f"{path} is missing"):
        load_models(path, arithmetic("float32"), CPU)
    write_model(path, states(arithmetic("float32"), [4, 2], [0]), DESCRIPTION)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match=f"{path} is not a whole safetensors file"):
        load_models(path, arithmetic("float32"), CPU)


@pytest.mark.parametrize(
    ("otherwise", "said"),
    [
        ({"seeds": [5, 7]}, r"with seeds \[5, 6\], not \[5, 7\]$"),
        ({"dataset": "mnist"}, "with dataset digits, not mnist$"),
        ({"run": "concise"}, "with run mlp, not concise$"),
        ({"arithmetic": "wide"}, "with arithmetic float32, not wide$"),
        ({"classes": ["b", "a"]}, r"with classes \['a', 'b'\], not \['b', 'a'\]$"),
        ({"image": [4, 1]}, r"with image \[2, 2\], not \[4, 1\]$"),
    ],
)
def test_a_model_trained_otherwise_is_refused(tmp_path, otherwise, said):
    ops, path = arithmetic("float32"), tmp_path / "model.safetensors"
    write_model(path, states(ops, [4, 3, 2], [5, 6]), DESCRIPTION)
    assert len(load_trained(path, DESCRIPTION, ops, CPU)) == 2
    with pytest.raises(UserError, match=f"{path} was trained {said}"):
        load_trained(path, replace(DESCRIPTION, **otherwise), ops, CPU)


@pytest.mark.parametrize(("widths", "seeds"), [([4, 3, 2], [5]), ([5, 3, 2], [5, 6]), ([4, 3, 3], [5, 6])])
def test_a_model_that_holds_another_than_it_describes_is_refused(tmp_path, widths, seeds):
    ops, path = arithmetic("float32"), tmp_path / "model.safetensors"
    write_model(path, states(ops, widths, seeds), DESCRIPTION)
    with pytest.raises(UserError, match=f"{path} does not hold the models that it describes"):
        load_trained(path, DESCRIPTION, ops, CPU)


def test_a_model_says_where_it_comes_from(tmp_path):
    path = tmp_path / "model.safetensors"
    write_model(path, states(arithmetic("float32"), [4, 2], [5, 6]), DESCRIPTION)
    assert describe(path) == DESCRIPTION
    path.write_bytes(save({"weight": torch.ones(1)}))
    with pytest.raises(UserError, match=f"{path} is no model of this project"):
        describe(path)
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=f"{path} is not a whole safetensors file"):
        describe(path)
    with pytest.raises(UserError, match="is missing"):
        describe(tmp_path / "nowhere")
