"""What `make repro` left, held against the figures that the notes print; .ci/run calls it after the pipeline.

python -m pytest tests/reproduced.py
"""

import csv
import json
from pathlib import Path

import pytest

from samebits.base.params import RUNS, load

DATASETS = ["fashion_mnist", "mnist"]

pytestmark = pytest.mark.skipif(
    not all(Path("metrics", dataset, "mlp.json").exists() for dataset in DATASETS), reason="run `make repro` first"
)

# Notes B print the network's test accuracy on MNIST after each epoch. Over seeds the first epochs vary most.
COURSE = [55, 86, 91, 94, 95, 95.97, 96.19, 96.33, 96.96]
WITHIN = [30, 5, 2, 1.5, 1.5, 1, 1, 1, 0.6]


def history(dataset, run):
    with Path("models", dataset, run, "history.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def accuracy(dataset, run):
    return json.loads(Path("metrics", dataset, f"{run}.json").read_text())["test"]["accuracy"]["mean"]


@pytest.mark.parametrize("run", ["scratch", "concise"])
def test_softmax_regression_comes_out_near_the_notes(run):
    assert accuracy("fashion_mnist", run) == pytest.approx(0.83, abs=0.02)
    assert accuracy("mnist", run) == pytest.approx(0.92, abs=0.01)


def test_the_network_comes_out_near_the_notes():
    assert 0.96 <= accuracy("mnist", "mlp") <= 0.975


@pytest.mark.parametrize(("epoch", "printed", "within"), [*zip(range(9), COURSE, WITHIN, strict=True)])
def test_the_networks_course_is_the_notes(epoch, printed, within):
    rows = [row for row in history("mnist", "mlp") if row["epoch"] == epoch + 1]
    for row in rows:
        assert 100 * row["test_accuracy"] == pytest.approx(printed, abs=within)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("run", RUNS)
def test_every_epoch_of_every_seed_is_recorded_and_the_last_is_what_was_evaluated(dataset, run):
    block, rows = load().training(run), history(dataset, run)
    assert [(row["seed"], row["epoch"]) for row in rows] == [
        (seed, epoch) for seed in block.seeds for epoch in range(1, block.epochs + 1)
    ]
    last = [row["test_accuracy"] for row in rows if row["epoch"] == block.epochs]
    assert accuracy(dataset, run) == pytest.approx(sum(last) / len(last))


@pytest.mark.parametrize("dataset", DATASETS)
def test_both_routes_of_softmax_regression_learned_the_same_bits(dataset):
    verdict = json.loads(Path("metrics", dataset, "shared_start.json").read_text())
    assert verdict["identical"]
    assert verdict["sha256"]["scratch"] == verdict["sha256"]["concise"]
