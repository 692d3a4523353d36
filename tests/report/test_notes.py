import math

import numpy as np
import pandas as pd
import pytest

from samebits.base.params import load
from samebits.outcome.finished import Dataset, Run
from samebits.report import notes
from tests.conftest import ROOT
from tests.made.notes import training

SUMMARY = {"image": [28, 28], "splits": {"train": {"images": 60_000}, "test": {"images": 10_000}}}


def run(name, seeds=(0, 1, 2), accuracy=lambda seed, epoch: 0.5 + seed / 100, **changes):
    parameters = training(name, seeds, **changes)
    rows = [
        {"seed": seed, "epoch": epoch, "test_accuracy": accuracy(seed, epoch)}
        for seed in seeds
        for epoch in range(1, parameters.epochs + 1)
    ]
    history, none = pd.DataFrame(rows), pd.DataFrame()
    return Run(name, parameters, {}, history, none, none, none)


def dataset(*runs, name="mnist", **changes):
    return Dataset(name, SUMMARY | changes, np.zeros((0, 28, 28), np.uint8), {}, [], list(runs))


def rows(*runs, **changes):
    return notes.beside(dataset(*runs, **changes))


def test_what_is_printed_is_the_count():
    for percent, count in notes.NETWORK:
        decimals = 0 if percent.is_integer() else 2
        assert abs(percent - count / 100) < 10**-decimals
        assert percent <= count / 100 or round(count / 100, decimals) == percent


def test_the_defaults_are_the_notes_own():
    params = load(ROOT / "params.yaml")
    assert {name: params.training(name).model_dump(exclude={"seeds"}) for name in notes.PARAMETERS} == notes.PARAMETERS


def test_every_figure_of_the_notes_has_a_row():
    mlp = rows(run("mlp"))
    assert [(row.epoch, row.percent, row.count) for row in mlp] == [
        (epoch, *printed) for epoch, printed in enumerate(notes.NETWORK, 1)
    ]
    softmax = rows(run("scratch"), run("concise"), name="fashion_mnist")
    assert [(row.run, row.epoch, row.percent, row.count) for row in softmax] == [
        ("scratch", 20, None, None),
        ("concise", 10, None, None),
    ]
    assert not rows(run("scratch"), run("concise"))
    assert not rows(run("mlp"), name="digits")


def test_a_row_holds_the_accuracies_of_its_own_epoch():
    row = rows(run("mlp", accuracy=lambda seed, epoch: (10 * seed + epoch) / 100))[6]
    assert (row.dataset, row.run, row.epoch) == ("mnist", "mlp", 7)
    assert row.accuracies == [0.07, 0.17, 0.27]
    assert row.mean == math.fsum(row.accuracies) / 3


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 10},
        {"batch_size": 128},
        {"lr": 0.02},
        {"momentum": 0.0},
        {"init_std": 0.01},
        {"hidden": [520, 320, 240]},
    ],
)
def test_other_parameters_are_not_the_notes(changed):
    assert rows(run("mlp"))
    assert not rows(run("mlp", **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"image": [14, 14]},
        {"splits": {"train": {"images": 50_000}, "test": {"images": 10_000}}},
        {"splits": {"train": {"images": 60_000}, "test": {"images": 1_000}}},
    ],
)
def test_other_data_are_not_the_notes(changed):
    assert not rows(run("mlp"), **changed)


@pytest.mark.parametrize(
    ("least", "most", "inside"),
    [(0.55, 0.56, True), (0.5546, 0.56, True), (0.55, 0.5546, True), (0.5547, 0.56, False), (0.5, 0.5545, False)],
)
def test_inside_is_within_the_range_over_the_seeds(least, most, inside):
    row = rows(run("mlp", seeds=(4, 2), accuracy=lambda seed, _: most if seed == 4 else least))[0]
    assert row.inside is inside


def test_inside_says_nothing_without_a_figure_or_a_range():
    assert rows(run("mlp", seeds=(0,)))[0].inside is None
    assert rows(run("scratch"), name="fashion_mnist")[0].inside is None
