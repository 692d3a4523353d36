import pytest
import torch
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support

from samebits.measures.metrics import Measured, confusion, over_seeds, per_class, t_quantile


def test_class_figures_are_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    actual, predicted = (torch.randint(4, (200,), generator=generator) for _ in range(2))
    predicted[predicted == 2] = 3  # a class never predicted
    counts = confusion(actual, predicted, 4)
    assert sum(map(sum, counts)) == 200
    assert counts[1][3] == ((actual == 1) & (predicted == 3)).sum()
    theirs = precision_recall_fscore_support(actual, predicted, zero_division=0)
    ours = per_class(counts, list("abcd"))
    for key, column in zip(["precision", "recall", "f1", "support"], theirs, strict=True):
        assert [row[key] for row in ours] == pytest.approx(list(column))


def test_one_seed_has_no_spread():
    assert over_seeds([0.25]) == {"mean": 0.25, "per_seed": [0.25]}


def test_the_interval_is_students():
    values = [0.83, 0.84, 0.82, 0.835, 0.841]
    ours = over_seeds(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert ours["mean"] == pytest.approx(sum(values) / 5)
    assert ours["ci95"] == pytest.approx([theirs.low, theirs.high])
    assert ours["std"] == pytest.approx(stats.tstd(values))


@pytest.mark.parametrize("df", [1, 2, 3, 7, 30, 1000])
def test_quantiles_of_students_t(df):
    assert t_quantile(0.975, df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-12)


def test_a_run_is_summarised_by_its_accuracy_and_loss():
    right = [torch.tensor([True, False, True]), torch.tensor([True, False, False])]
    assert Measured([4, 7], [0.5, 0.25], right).summary() == {
        "accuracy": over_seeds([2 / 3, 1 / 3]),
        "loss": over_seeds([0.5, 0.25]),
    }
