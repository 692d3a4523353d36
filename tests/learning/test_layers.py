"""Layers as data, and as modules again; their first weights; a model's file whose layers somebody forged."""

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

from samebits import exact
from samebits.base.errors import UserError
from samebits.learning.arithmetic import arithmetic
from samebits.learning.description import KEY, describe
from samebits.learning.layers import APART, built, described, first_network, known
from samebits.learning.load import load_described, load_trained

EXACT = [  # each layer with arguments that are not its defaults, and the shape of its input
    (exact.Linear(6, 4, bias=False), (3, 6)),
    (exact.Linear(6, 4, levels=127.0), (3, 6)),
    (exact.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False), (2, 4, 7, 8)),
    (exact.Conv2d(2, 3, 3, padding="same", levels=127.0), (2, 2, 6, 6)),
    (exact.BatchNorm1d(6, eps=1e-3, momentum=0.3), (5, 6)),
    (exact.BatchNorm1d(6, affine=False, track_running_stats=False), (5, 6)),
    (exact.BatchNorm2d(2, momentum=None, bias=False), (5, 2, 3, 3)),
    (exact.LayerNorm((2, 3), eps=1e-3, bias=False), (4, 2, 3)),
    (exact.LayerNorm(6, elementwise_affine=False), (4, 6)),
    (exact.MaxPool2d((3, 2), stride=(1, 2), padding=1, dilation=(2, 1), ceil_mode=True), (2, 2, 9, 9)),
    (exact.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), (2, 2, 8, 8)),
    (exact.AvgPool2d((2, 3), divisor_override=5), (2, 2, 6, 6)),
    (exact.Dropout(0.3), (4, 6)),
    (exact.Dropout(0.3, inplace=True), (4, 6)),
    (exact.Flatten(2, 3), (2, 2, 3, 4)),
    (exact.ReLU(True), (4, 6)),
]
TORCH = [
    (nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect", groups=2), (2, 2, 6, 6)),
    (nn.Conv1d(2, 4, 3, stride=2), (2, 2, 9)),
    (nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), (2, 2, 5, 5)),
    (nn.GroupNorm(2, 4, eps=1e-3), (2, 4, 5)),
    (nn.InstanceNorm2d(2, affine=True), (2, 2, 5, 5)),
    (nn.PReLU(3, init=0.4), (2, 3, 4)),
    (nn.LeakyReLU(0.2), (4, 6)),
    (nn.ELU(0.7), (4, 6)),
    (nn.GELU(approximate="tanh"), (4, 6)),
    (nn.Hardtanh(-2.0, 2.0), (4, 6)),
    (nn.Softmax(dim=1), (4, 6)),
    (nn.Unflatten(1, (2, 3)), (4, 6)),
    (nn.AdaptiveAvgPool2d((2, 3)), (2, 2, 6, 6)),
    (nn.ZeroPad2d((1, 2, 0, 1)), (2, 2, 5, 5)),
    (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), (2, 2, 5, 5)),
    (nn.PixelShuffle(2), (2, 4, 3, 3)),
]


def again(layer, ops):
    """The layer, written down and read again, with its own weights, seed and tag."""
    [written] = described(nn.Sequential(layer), ops)
    [anew] = built(json.loads(json.dumps([written])), ops)
    assert type(anew) is type(layer)
    for name in set(APART) & set(vars(layer)):
        setattr(anew, name, getattr(layer, name))
    anew.load_state_dict(layer.state_dict())
    return anew


@pytest.mark.parametrize(
    ("layer", "shape", "name"),
    [(*each, "exact") for each in EXACT] + [(*each, "float32") for each in TORCH],
    ids=lambda x: str(x).replace(" ", "")[:60],
)
def test_a_layer_is_what_is_written_of_it(layer, shape, name):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    anew = again(layer, arithmetic(name))
    for mode in (True, False):
        results = []
        for each in (layer.train(mode), anew.train(mode)):
            results += [each(x.clone()), *(value.clone() for value in each.state_dict().values())]
        half = len(results) // 2
        assert half >= 1
        assert all(torch.equal(a, b) for a, b in zip(results[:half], results[half:], strict=True))


def test_every_exact_layer_is_among_them():
    assert {type(layer).__name__ for layer, _ in EXACT} == set(known(arithmetic("exact"))) - {"Add", "Cat"}


LAYERS: list[dict[str, Any]] = [
    {"name": "first", "layer": "Conv2d", "arguments": {"in_channels": 1, "out_channels": 2, "kernel_size": [3, 3]}},
    {"name": "1", "layer": "BatchNorm2d", "arguments": {"num_features": 2}},
    {"name": "2", "layer": "Flatten", "arguments": {}},
    {"name": "3", "layer": "Linear", "arguments": {"in_features": 32, "out_features": 5}},
]


@pytest.mark.parametrize("std", [None, 0.01])
def test_first_weights_are_the_same_for_every_arithmetic(std):
    states = [first_network(LAYERS, arithmetic(name), std, 7).state_dict() for name in ("exact", "float32", "wide")]
    for state in states[1:]:
        assert {key: x.float().tolist() for key, x in state.items()} == {k: x.tolist() for k, x in states[0].items()}
    assert bool(states[0]["3.bias"].any()) == (std is None)


def test_first_weights_are_each_seeds_and_each_layers_own():
    before = torch.get_rng_state()
    a, b = (first_network(LAYERS, arithmetic("float32"), None, seed).state_dict() for seed in (7, 8))
    assert not torch.equal(a["3.weight"], b["3.weight"])
    assert torch.equal(before, torch.get_rng_state()), "nobody else's random numbers are others for it"


ABOUT = {
    "dataset": "x",
    "run": "a",
    "arithmetic": "exact 2",
    "classes": list("abcde"),
    "image": [6, 6],
    "seeds": [1, 2],
}


def forged(path, network, state=None):
    """A model's file that says it is of this network."""
    nets = [first_network(LAYERS, arithmetic("exact"), None, seed).state_dict() for seed in (1, 2)]
    whole = {key: torch.stack([net[key] for net in nets]) for key in nets[0]} if state is None else state
    path.write_bytes(save(whole, {KEY: json.dumps({**ABOUT, "network": network})}))
    return path


def changed(**change):
    """The layers, the last of them another."""
    return [*LAYERS[:-1], {**LAYERS[-1], **change}]


def sized(**change):
    return changed(arguments={**LAYERS[-1]["arguments"], **change})


@pytest.mark.parametrize(
    "network",
    [[], {}, 5, "x", [5], [[]], [None], [{}], LAYERS[:-1], [*LAYERS, LAYERS[-1]], [*LAYERS[:-1], LAYERS[0]],
     changed(layer="Bilinear"), changed(layer="Module"), changed(layer="Sequential"), changed(layer="os.system"),
     changed(layer="CrossEntropyLoss"), changed(layer=5), changed(layer=None), changed(layer="__class__"),
     changed(name=5), changed(name=""), changed(name="a.b"), changed(name="forward"), changed(name="entrance"),
     changed(name="_pixels"), changed(arguments=[]), changed(arguments=None), changed(arguments={}),
     sized(in_features="32"), sized(in_features=31), sized(in_features=-1), sized(in_features=32.5),
     sized(in_features=None), sized(in_features=[32]), sized(in_features={}), sized(in_features=True),
     sized(in_features=10**7, out_features=10**7), sized(out_features=10**30), sized(foo=1),
     sized(out_features=10**10, bias=False), sized(self=1), sized(device="nowhere"), sized(dtype="float32"),
     changed(arguments={"in_features": 32, "out_features": 5, "levels": "x"}),
     changed(layer="Conv2d", arguments={"in_channels": 1, "out_channels": 10**6, "kernel_size": [10**4, 10**4]}),
     changed(layer="LayerNorm", arguments={"normalized_shape": [10**6, 10**6]}),
     changed(layer="BatchNorm1d", arguments={"num_features": 10**12}),
     changed(layer="MaxPool2d", arguments={"kernel_size": 0})],
)  # fmt: skip
def test_a_forged_network_is_one_sentence(tmp_path, network):
    path = forged(tmp_path / "model.safetensors", network)
    for name in ("wide", "float32"):
        with pytest.raises(UserError) as error:
            load_described(path, describe(path), arithmetic(name), "cpu")
        text = str(error.value)
        assert text.startswith(f"{path} does not hold the ") or text.startswith(f"{path} is no model of this project")
        assert "\n" not in text


def test_what_was_not_forged_is_read(tmp_path):
    path = forged(tmp_path / "model.safetensors", LAYERS)
    wanted = describe(path)
    nets = load_trained(path, wanted, arithmetic("wide"), "cpu")
    assert [net(torch.zeros(3, 6, 6, dtype=torch.uint8)).shape for net in nets] == [(3, 5), (3, 5)]


@pytest.mark.parametrize(
    "change", [{"3.weight": None}, {"3.weight": torch.ones(2, 5, 31)}, {"3.weight": torch.ones(1, 5, 32)},
               {"4.weight": torch.ones(2, 1)}, {"3.bias": torch.ones(())}, {"3.bias": torch.ones(3, 5)},
               {"1.running_mean": None}]
)  # fmt: skip
def test_weights_of_other_layers_are_one_sentence(tmp_path, change):
    net = first_network(LAYERS, arithmetic("exact"), None, 1).state_dict()
    state = {key: torch.stack([x, x]) for key, x in net.items()} | change
    path = forged(tmp_path / "model.safetensors", LAYERS, {key: x for key, x in state.items() if x is not None})
    for name in ("wide", "float32"):
        with pytest.raises(UserError, match=r"does not hold the (network|models) that it describes"):
            load_described(path, describe(path), arithmetic(name), "cpu")
