"""A network of one's own in training: stopped, packed up, alone or beside others, it ends in the same bits."""

import dataclasses
from typing import Any

import pytest
import torch

from samebits.base.params import Network
from samebits.learning.arithmetic import arithmetic
from samebits.learning.course import Standing
from samebits.learning.own import OwnCourse
from samebits.learning.separate import build
from samebits.seeds import work
from samebits.seeds.codec import decode, encode
from samebits.seeds.key import about
from tests.learning.test_training import SPLITS
from tests.seeds.test_resume import bits, ends

LAYERS: list[dict[str, Any]] = [
    {"name": "0", "layer": "Conv2d", "arguments": {"in_channels": 1, "out_channels": 3, "kernel_size": 3}},
    {"name": "1", "layer": "BatchNorm2d", "arguments": {"num_features": 3}},
    {"name": "2", "layer": "ReLU", "arguments": {}},
    {"name": "3", "layer": "Flatten", "arguments": {}},
    {"name": "4", "layer": "Dropout", "arguments": {"p": 0.3}},
    {"name": "5", "layer": "Linear", "arguments": {"in_features": 48, "out_features": 10}},
]
HOW: dict[str, dict[str, Any]] = {
    "momentum and a linear schedule": {"optimizer": "SGD", "momentum": 0.9, "schedule": "linear", "nesterov": True},
    "plain": {"optimizer": "SGD"},
    "Adam": {"optimizer": "Adam", "lr": 0.01, "amsgrad": True, "label_smoothing": 0.1},
    "AdamW": {"optimizer": "AdamW", "lr": 0.01, "weight_decay": 0.1, "schedule": "linear"},
}
EXACT = ("exact", "wide")


def course(how="plain", name="exact", seeds=(3, 5)):
    block = Network(**{"seeds": list(seeds), "epochs": 3, "batch_size": 96, "lr": 0.1, **HOW[how]})
    return OwnCourse("x a", name, block, build, SPLITS, [36, 10], torch.device("cpu"), LAYERS)


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("how", HOW)
def test_what_is_carried_is_all_that_is_needed(how, name, epoch):
    it = course(how, name)
    *_, reached = it.follow([Standing(seed) for seed in it.block.seeds], epoch)
    assert [each.epoch for each in reached.standings()] == [epoch, epoch]
    kept, _ = decode(encode(reached.standings(), {}))
    assert ends(it, kept) == ends(it)


def test_masks_and_statistics_go_on_where_they_were():
    """Were they not carried, a training that goes on would end elsewhere."""
    it = course()
    *_, reached = it.follow([Standing(seed) for seed in it.block.seeds], 1)
    whole = ends(it)
    for name in ("4.step", "1.running_mean", "1.running_var"):
        lost = [
            dataclasses.replace(each, carried={**each.carried, name: torch.zeros_like(each.carried[name])})
            for each in reached.standings()
        ]
        assert ends(it, lost) != whole, name


def test_the_schedule_goes_on_where_it_was():
    it = course("momentum and a linear schedule")
    *_, reached = it.follow([Standing(seed) for seed in it.block.seeds], 1)
    lost = [
        dataclasses.replace(each, carried={**each.carried, "velocity.steps": torch.zeros(())})
        for each in reached.standings()
    ]
    assert ends(it, lost) != ends(it)


@pytest.mark.parametrize("how", HOW)
def test_a_task_is_the_same_training_from_bytes_to_bytes(how):
    it, carried = course(how), [Standing(3), Standing(5)]
    for epochs in (1, 2):
        asked = work.task(it, about(it), carried, epochs)
        carried, told = decode(work.work(work.packed(it), asked))
        assert told["seconds"] > 0
    assert {each.seed: bits(each) for each in carried} == ends(it)


@pytest.mark.parametrize("name", EXACT)
def test_a_seed_alone_is_the_seed_beside_others(name):
    beside, order = ends(course("Adam", name)), ends(course("Adam", name, (5, 3)))
    assert beside == order == ends(course("Adam", name, (3,))) | ends(course("Adam", name, (5,)))
    assert beside[3] != beside[5]


@pytest.mark.parametrize("name", EXACT)
def test_threads_change_no_bit(name):
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(ends(course("AdamW", name)))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_the_layers_are_part_of_the_key():
    other = [*LAYERS[:4], {**LAYERS[4], "arguments": {"p": 0.4}}, LAYERS[5]]
    assert about(course()) != about(dataclasses.replace(course(), layers=other))


def test_a_linear_schedule_falls_from_lr_by_equal_steps():
    it = course("momentum and a linear schedule")
    start = it.first([3])
    learner = it.build(arithmetic("exact"), start, it.block)
    assert start.steps == 3 * 6
    assert [learner.rate(step) for step in (0, 9, 17)] == [0.1, 0.05, 0.1 * (1 / 18)]
