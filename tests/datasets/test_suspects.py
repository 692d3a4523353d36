"""What `samebits declare` asks about, and what it leaves in peace."""

from itertools import chain

import numpy as np
import pytest

from samebits.datasets.suspects import missing, numbering, spellings

N = 60
RNG = np.random.default_rng(0)
GAPS = np.cumsum(RNG.integers(2, 9, N)).astype(float)
NUMBERS = {
    "from 0": ("x", np.arange(N)),
    "from 1, downwards": ("x", N - np.arange(N)),
    "in any order": ("x", RNG.permutation(N)),
    "with gaps": ("x", GAPS),
    "an identifier, in any order": ("PassengerId", RNG.permutation(GAPS)),
    "pandas's nameless column": ("Unnamed: 0", RNG.permutation(GAPS)),
    "an identifier, some rows twice": ("user_id", np.append(GAPS[1:], GAPS[5])),
    "an identifier of 19 digits": ("id", 1e18 + np.arange(N)),
    "the time of a log": ("t", 1.7e9 + 0.02 * np.arange(N)),
    "a tenth of a numbering": ("x", np.arange(N) / 10),
}
MEASURES = {
    "sorted": ("x", np.sort(RNG.normal(size=N))),
    "sorted counts": ("x", np.sort(RNG.integers(0, 40, N))),
    "counts": ("number of visits", RNG.integers(0, 20, N)),
    "whole, and all of them different": ("price", RNG.permutation(GAPS)),
    "by name alone": ("index", RNG.normal(size=N)),
    "sorted and huge": ("stars", np.sort(RNG.random(N)) * 1e22),
    "one value": ("id", np.ones(N)),
    "too far for a step": ("x", 1.7e308 * (-1.0) ** np.arange(N)),
}


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.filterwarnings("error")
def test_a_numbering_is_found(case):
    name, column = NUMBERS[case]
    assert numbering(["y", name], np.stack([RNG.normal(size=N), column], 1).astype(float)) == [name]


@pytest.mark.parametrize("case", MEASURES)
@pytest.mark.filterwarnings("error")
def test_a_measurement_is_not(case):
    name, column = MEASURES[case]
    assert numbering([name], column[:, None].astype(float)) == []


def test_spellings_of_one_class():
    groups = [["a b", "A  B", "\uff21b"], ["1", "1.0", "01", "1e0", "+1"], ["stra\u00dfe", "STRASSE"], ["x", "x\u200b"],
              ["\u00e9", "e\u0301"]]  # fmt: skip
    assert spellings(chain(*groups)) == groups
    assert spellings(["a", "b", "10", "100", "1_0", "nan", "inf", "12345678901234567891", "12345678901234567890"]) == []


def test_names_for_nothing():
    names = ["NaN", "NA", "N/A", "null", "None", "?", " ", "n.a.", "<NA>", "-"]
    assert missing([*names, "Nan Goldin", "no", "0", "nothing"]) == names
