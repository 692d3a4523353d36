import math

import pytest
import torch
from torch import tensor

from samebits.datasets.split import Split
from samebits.learning.arithmetic import arithmetic
from samebits.measures import calibration

OPS = arithmetic("exact")


def logits(*probabilities):
    """Logits of two classes that give the first one these probabilities."""
    return tensor([[math.log(p / (1 - p)), 0.0] for p in probabilities], dtype=torch.float64)


def test_bins_hold_what_falls_into_them():
    Z, labels = logits(0.95, 0.96, 0.97, 0.72, 0.2), tensor([0, 0, 1, 0, 1])
    bins = calibration.reliability(OPS, Z, labels)
    assert [row["count"] for row in bins] == [0] * 10 + [1, 0, 1, 0, 3]
    assert bins[-1]["confidence"] == pytest.approx(0.96)
    assert (bins[-1]["lower"], bins[-1]["upper"], bins[-1]["accuracy"]) == (14 / 15, 1.0, 2 / 3)
    assert (bins[10]["confidence"], bins[10]["accuracy"]) == (pytest.approx(0.72), 1.0)
    assert bins[12]["confidence"] == pytest.approx(0.8)  # the second class's
    assert (bins[0]["confidence"], bins[0]["accuracy"]) == (None, None)
    assert calibration.error(bins) == pytest.approx((0.28 + 0.2 + 3 * (0.96 - 2 / 3)) / 5)


def test_a_probability_of_one_is_in_the_last_bin():
    assert calibration.reliability(OPS, tensor([[900.0, 0.0]], dtype=torch.float64), tensor([0]))[-1]["count"] == 1


@pytest.mark.parametrize("T", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_comes_out(T):
    # In each group the share of hits is what the logits promise, once divided by T.
    shares = [0.6, 0.75, 0.9]
    Z = torch.cat([logits(p).expand(20, 2) for p in shares]) * T
    labels = torch.cat([(torch.arange(20) >= round(20 * p)).long() for p in shares])
    assert calibration.temperature(OPS, Z, labels) == pytest.approx(T, rel=1e-3)
    found = calibration.measure(OPS, [Z, Z / T], labels, T)
    assert found["scaled"]["ece"] == pytest.approx(0, abs=1e-9)
    assert found["ece"]["per_seed"] == [calibration.error(found["reliability"]), pytest.approx(0, abs=1e-9)]


def test_a_model_that_is_always_right_is_as_cold_as_allowed():
    assert calibration.temperature(OPS, logits(0.9, 0.8), tensor([0, 0])) == pytest.approx(1 / 16, rel=1e-4)


def test_nothing_is_fitted_on_test_images():
    def split(n):
        return Split(torch.zeros(n, 1, 1, dtype=torch.uint8), torch.zeros(n, dtype=torch.uint8))

    splits = {"train": split(20_000), "validation": split(0), "test": split(5)}
    name, held = calibration.held(splits)
    assert (name, len(held.images), len(held.labels)) == ("train", 10_000, 10_000)
    name, held = calibration.held(splits | {"validation": split(7)})
    assert (name, len(held.labels)) == ("validation", 7)
