"""The tests that decide, held against scipy's, and their two promises: few false alarms, and the power they state."""

import numpy as np
import pytest
from scipy import stats

from samebits.gate.records import QUANTITIES
from samebits.gate.verdicts import Estimate, Verdict, compare, estimate, p_worse, smallest_caught
from tests.made.records import SPREAD, draws, record

ACCURACY, LOSS, FIRST, LAST = QUANTITIES
ALPHA = 0.05


def verdicts(old, new, alpha=ALPHA):
    """Quantity key -> verdict of one run."""
    found = compare([(old, new)], alpha)
    return {quantity.key: one.verdict for quantity, one in zip(QUANTITIES, found, strict=True)}


def values(array):
    return dict(enumerate(array.tolist()))


def estimated(*given, **options) -> Estimate:
    found = estimate(*given, **options)
    assert found is not None
    return found


def test_the_same_bits_are_identical_and_nothing_is_asked():
    old = record(range(5), draws(5))
    found = compare([(old, old.model_copy())], ALPHA)
    assert {one.verdict for one in found} == {Verdict.IDENTICAL}
    assert {one.p for one in found} == {None}


def test_the_last_bit_of_one_value_is_a_change_that_is_no_worse():
    old = record(range(5), draws(5))
    new = old.model_copy(deep=True)
    new.values.test_loss[3] = np.nextafter(new.values.test_loss[3], 1).item()
    assert set(verdicts(old, new).values()) == {Verdict.NO_WORSE}


def test_the_same_values_from_another_model_file_are_not_called_identical():
    old = record(range(5), draws(5))
    [first, *_] = compare([(old, old.model_copy(update={"model_sha256": "0" * 64}))], ALPHA)
    assert (first.verdict, first.how) == (Verdict.NO_WORSE, "same values, another model file")


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2], [2, 3, 4, 5, 6], range(9)])
def test_other_seeds_with_the_same_bits_where_both_have_them_are_no_worse(seeds):
    z = draws(9)
    found = compare([(record(range(5), z[:, :5]), record(seeds, z[:, seeds]))], ALPHA)
    assert {one.verdict for one in found} == {Verdict.NO_WORSE}
    assert {one.change for one in found} == {0}, "the means are over the common seeds"


def test_the_order_of_the_seeds_is_no_matter():
    z, sha = draws(5), {"model_sha256": "0" * 64}
    old, new = record(range(5), z).model_copy(update=sha), record([4, 3, 2, 1, 0], z[:, ::-1]).model_copy(update=sha)
    assert set(verdicts(old, new).values()) == {Verdict.IDENTICAL}


def test_other_seeds_altogether_are_compared_as_independent_samples():
    z = draws(20)
    [first, *_] = found = compare([(record(range(10), z[:, :10]), record(range(10, 20), z[:, 10:]))], ALPHA)
    assert first.how == "Welch, 10 and 10 seeds"
    assert {one.verdict for one in found} == {Verdict.NO_WORSE}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test_accuracy": -0.004}, Verdict.WORSE),
        ({"test_accuracy": +0.004}, Verdict.BETTER),
        ({"test_loss": +0.002}, Verdict.WORSE),
        ({"test_loss": -0.002}, Verdict.BETTER),
        ({"first_train_loss": +0.002}, Verdict.WORSE),
        ({"last_train_loss": +0.002}, Verdict.WORSE),
        ({"last_train_loss": -0.002}, Verdict.BETTER),
    ],
)
def test_each_quantity_has_its_own_bad_direction_and_is_named_alone(change, said):
    z = draws(10)
    found = verdicts(record(range(10), z), record(range(10), z + 0.02 * draws(10, 1), **change))
    [key] = change
    assert found.pop(key) is said
    assert set(found.values()) == {Verdict.NO_WORSE}


def test_a_change_within_the_margin_is_no_worse_however_certain_it_is():
    z = draws(10)
    small = {quantity.key: 0.9 * quantity.margin * quantity.worse for quantity in QUANTITIES}
    assert set(verdicts(record(range(10), z), record(range(10), z, **small)).values()) == {Verdict.NO_WORSE}
    large = {key: change * 1.5 for key, change in small.items()}
    found = verdicts(record(range(10), z), record(range(10), z, **large))
    assert {found[q.key] for q in (LOSS, FIRST, LAST)} == {Verdict.WORSE}


@pytest.mark.parametrize(("old", "new"), [([0], [0]), ([0], [1]), ([0, 1], [0]), ([0], range(1, 9))])
def test_one_seed_on_a_side_decides_nothing(old, new):
    found = compare([(record(old, draws(len(old))), record(new, draws(len(new), 1)))], ALPHA)
    assert {one.verdict for one in found} == {Verdict.TOO_FEW}
    assert {one.catches for one in found} == {None}, "absent, not zero"


def test_seeds_that_would_not_catch_a_change_of_the_stated_size_are_too_few():
    z = draws(4)
    found = compare([(record([0, 1], z[:, :2]), record([2, 3], z[:, 2:]))], ALPHA)
    assert found[0].verdict is Verdict.TOO_FEW
    assert found[0].catches is not None
    assert found[0].catches > ACCURACY.limit


def test_the_paired_test_is_scipys():
    old, new = draws(2 * 7)[0].reshape(2, 7)
    found = estimated(values(old), values(new), worse=+1)
    expected = stats.ttest_rel(new - 0.3, old, alternative="greater")
    assert p_worse(found, 0.3) == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.df == 6


@pytest.mark.parametrize(("n", "m"), [(2, 3), (3, 5), (10, 10)])
def test_the_unpaired_test_is_scipys(n, m):
    old, new = draws(n)[0], 3 * draws(m, 1)[0]
    found = estimated(values(old), {100 + seed: value for seed, value in values(new).items()}, worse=-1)
    expected = stats.ttest_ind(-new - 0.3, -old, equal_var=False, alternative="greater")
    assert p_worse(found, 0.3) == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.df == pytest.approx(expected.df)


def test_no_spread_at_all_is_decided_by_the_margin():
    old = dict.fromkeys(range(5), 0.5)
    for w, p in ((0.25, 0.0), (0.125, 1.0), (-0.25, 1.0)):
        found = estimated(old, dict.fromkeys(range(5), 0.5 + w), worse=+1)
        assert (found.error, p_worse(found, 0.125)) == (0.0, p)
        assert smallest_caught(found, 0.125, 0.01) == 0.125
    [apart] = [estimated(old, dict.fromkeys(range(7, 9), 0.75), worse=+1)]
    assert (apart.error, apart.df) == (0.0, 5)


def test_a_few_equal_counts_of_images_are_no_certainty():
    """All of three seeds lose the same single image of 360: without the step's own variance p would be 0."""
    old, new = dict.fromkeys(range(3), 320 / 360), dict.fromkeys(range(3), 319 / 360)
    assert p_worse(estimated(old, new, worse=-1), ACCURACY.margin) == 0
    assert p_worse(estimated(old, new, worse=-1, grain=1 / 360), ACCURACY.margin) > 0.05


def test_the_level_is_shared_by_the_cells_of_the_runs_that_changed():
    z = draws(5)
    same = (record(range(5), z), record(range(5), z))
    other = (record(range(5), z), record(range(5), z + 1e-9))
    levels = [{one.level for one in compare(pairs, 0.08)} for pairs in ([same, other], [other, other, same])]
    assert levels == [{None, 0.08 / 8}, {0.08 / 16, None}]


COMPARISONS = 200
# A gate that alarms at the level itself would exceed this bound once in 1000 runs of the test.
MOST = int(stats.binom.ppf(0.999, COMPARISONS, ALPHA))


def alarms(share, alpha=ALPHA):
    """Count the gates that say worse or suspiciously better of any of 8 cells, where nothing changed in expectation.

    `share` is the correlation of a seed's figures before and after; with 0 the seeds are others altogether.
    """
    rng, count = np.random.default_rng(7), 0
    for _ in range(COMPARISONS):
        pairs = []
        for run in ("scratch", "concise"):
            z, fresh = rng.standard_normal((2, len(QUANTITIES), 5))
            seeds = range(5) if share else range(5, 10)
            after = record(seeds, share * z + (1 - share**2) ** 0.5 * fresh, run=run)
            pairs.append((record(range(5), z, run=run), after))
        count += any(one.verdict in (Verdict.WORSE, Verdict.BETTER) for one in compare(pairs, alpha))
    return count


@pytest.mark.parametrize(
    ("case", "share"),
    [("other seeds", 0.0), ("bits that stayed close", 0.999), ("bits that grew apart", 0.5)],
)
def test_false_alarms_are_no_more_than_the_level(case, share):
    found = alarms(share)
    print(f"{case}: {found} false alarms in {COMPARISONS}, {found / COMPARISONS:.3f} (level {ALPHA}, bound {MOST})")
    assert found <= MOST


def test_false_alarms_without_the_correction_would_be_too_many():
    assert alarms(0.5, alpha=ALPHA * 2 * 8) > MOST


@pytest.mark.parametrize("df", [1, 2, 3.7, 9, 18])
@pytest.mark.parametrize("level", [0.05, 0.05 / 8, 0.05 / 48])
def test_what_would_be_caught_is_that_of_the_noncentral_t(df, level):
    found = Estimate(w=0.0, error=0.25, df=df, how="")
    d = (smallest_caught(found, 0.5, level) - 0.5) / 0.25
    assert stats.nct.sf(stats.t.isf(level, df), df, d) == pytest.approx(0.9, abs=2e-3)


@pytest.mark.parametrize(("n", "paired"), [(3, True), (10, True), (10, False)])
def test_what_would_be_caught_is_caught_nine_times_out_of_ten(n, paired):
    """2000 simulated gates, each with a worsening of the size that the true spread says is caught: 0.9 +- 0.03."""
    rng, level, margin, rounds = np.random.default_rng(3), 0.05 / 8, 0.1, 2000
    df, error = (n - 1, (1 / n) ** 0.5) if paired else (2 * n - 2, (2 / n) ** 0.5)
    size = smallest_caught(Estimate(0.0, error, df, ""), margin, level)
    caught = 0
    for old, new in rng.standard_normal((rounds, 2, n)):
        if paired:
            found = estimated(dict.fromkeys(range(n), 0.0), values(new + size), worse=+1)
        else:
            apart = {seed + n: value for seed, value in values(new + size).items()}
            found = estimated(values(old), apart, worse=+1)
        caught += p_worse(found, margin) <= level
    print(f"{size:.3f} is caught in {caught / rounds:.3f} of {rounds}")
    assert caught / rounds == pytest.approx(0.9, abs=0.03)


def test_the_spread_is_that_of_every_quantity():
    assert list(SPREAD) == [quantity.key for quantity in QUANTITIES]
