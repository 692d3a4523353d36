from fractions import Fraction
from math import comb

import pytest
import torch
from scipy import stats

from samebits.measures.comparison import compare, mcnemar, pair
from samebits.measures.metrics import Measured


def made_up(seeds, right=0.5):
    """A made-up run: what it gets right, and its loss, hang on each seed alone."""
    draws = [torch.rand(40, generator=torch.Generator().manual_seed(seed + int(100 * right))) for seed in seeds]
    return Measured(seeds, [0.5 + draw[0].item() for draw in draws], [draw < right for draw in draws])


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (3, 0), (2, 5), (5, 2), (7, 7), (12, 30), (400, 371)])
def test_p_is_the_exact_binomial_tests(a, b):
    expected = stats.binomtest(a, a + b).pvalue if a + b else 1
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(1, 9), (371, 400), (1400, 1250), (1, 1070)])
def test_p_is_rounded_once(a, b):
    ways = sum(comb(a + b, i) for i in range(min(a, b) + 1))
    assert mcnemar(a, b) == float(Fraction(2 * ways, 2 ** (a + b))) > 0


def test_p_may_be_less_than_any_float():
    assert mcnemar(0, 10_000) == 0


def test_an_image_counts_that_one_alone_names_correctly():
    first = Measured([0], [0.5], [torch.tensor([True, True, True, False, False, False])])
    second = Measured([0], [0.25], [torch.tensor([True, False, False, True, False, False])])
    assert pair(first, second) == {
        "seeds": [0],
        "difference": {
            "accuracy": {"mean": -1 / 6, "per_seed": [-1 / 6]},
            "loss": {"mean": -0.25, "per_seed": [-0.25]},
        },
        "mcnemar": [{"seed": 0, "only_first": 2, "only_second": 1, "p": 1.0}],
    }


def test_seeds_are_paired_by_what_they_are_not_where_they_stand():
    one, other = made_up([3, 1, 9], right=0.5), made_up([1, 2, 3], right=0.7)
    result = pair(one, other)
    assert result["seeds"] == [test["seed"] for test in result["mcnemar"]] == [3, 1]
    assert result["difference"]["loss"]["per_seed"] == [
        other.losses[2] - one.losses[0],
        other.losses[0] - one.losses[1],
    ]
    gained = [test["only_second"] - test["only_first"] for test in result["mcnemar"]]
    hits = [int(other.right[j].sum()) - int(one.right[i].sum()) for i, j in [(0, 2), (1, 0)]]
    assert gained == hits
    assert result["difference"]["accuracy"]["per_seed"] == [gain / 40 for gain in gained]


def test_the_interval_is_that_of_the_paired_t_test():
    one, other = made_up(list(range(7))), made_up(list(range(7)), right=0.7)
    difference = pair(one, other)["difference"]
    for key, figures in {
        "loss": [one.losses, other.losses],
        "accuracy": [[hits.double().mean().item() for hits in run.right] for run in (one, other)],
    }.items():
        theirs = stats.ttest_rel(figures[1], figures[0]).confidence_interval(0.95)
        assert difference[key]["ci95"] == pytest.approx([theirs.low, theirs.high])


def test_without_a_common_seed_there_is_nothing_to_compare():
    assert pair(made_up([1]), made_up([2])) == {"seeds": [], "difference": {}, "mcnemar": []}


def test_each_two_runs_are_compared_in_their_order():
    runs = {name: made_up([0]) for name in ("scratch", "concise", "mlp")}
    assert [entry["runs"] for entry in compare(runs)] == [
        ["scratch", "concise"],
        ["scratch", "mlp"],
        ["concise", "mlp"],
    ]
