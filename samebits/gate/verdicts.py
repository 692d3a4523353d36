"""Worse, better, or neither: the tests that decide, for every quantity of every run, from the values of its seeds.

A worsening w is a change in the quantity's bad direction. Of each cell that changed two things are asked, each at
alpha / (number of questions), so that a gate over nothing but harmless changes fails with probability alpha or less:
is w > margin, and is -w > margin? Both by Student's t, over the differences of common seeds where there are enough
of them, else between two independent samples (Welch).
"""

import enum
import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from samebits.gate.records import QUANTITIES, Quantity, Record, common

PAIRS = 3  # fewer common seeds leave a paired test 1 degree of freedom or none; Welch's has then more
POWER = 0.9
STEPS = 500  # gives the power to about 0.0001


class Verdict(enum.StrEnum):
    """What is said of a cell."""

    IDENTICAL = "identical"
    NO_WORSE = "no worse"
    WORSE = "worse"
    BETTER = "suspiciously better"
    TOO_FEW = "too few seeds"

    @property
    def passes(self) -> bool:
        """Whether the gate lets it through."""
        return self in (Verdict.IDENTICAL, Verdict.NO_WORSE)


@dataclass(frozen=True)
class Estimate:
    """A worsening w, its standard error with its degrees of freedom, and how it was found."""

    w: float
    error: float
    df: float
    how: str


@dataclass(frozen=True)
class Comparison:
    """A cell, dataset x run x quantity: its means over the seeds, and what is said of it."""

    dataset: str
    run: str
    quantity: str
    reference: float
    here: float
    verdict: Verdict
    how: str  # the test and the seeds it had, or why there was none
    level: float | None = None  # of its tests: below it p says worse, or suspiciously better
    p: float | None = None  # of "within the margin", one-sided, in the direction that it changed
    catches: float | None = None  # the smallest worsening that would be called worse 9 times out of 10

    @property
    def change(self) -> float:
        """Here minus reference."""
        return self.here - self.reference


@dataclass(frozen=True)
class Result:
    """The whole of a gate: every comparison, and why each of the others could not be made."""

    comparisons: list[Comparison]
    refusals: list[str]
    alpha: float

    @property
    def passes(self) -> bool:
        """Whether nothing is worse, suspicious, undecided or not comparable."""
        return not self.refusals and all(comparison.verdict.passes for comparison in self.comparisons)


def compare(pairs: Sequence[tuple[Record, Record]], alpha: float) -> list[Comparison]:
    """Compare each reference with its run as it is here; `alpha` is the rate of false alarms of them all together.

    Only runs that changed count among the questions: one with the same bits cannot raise an alarm.
    """
    changed = [not _same_bits(reference, here) for reference, here in pairs]
    level = alpha / max(1, 2 * len(QUANTITIES) * sum(changed))
    return [
        _compare(reference, here, quantity, level if differs else None)
        for (reference, here), differs in zip(pairs, changed, strict=True)
        for quantity in QUANTITIES
    ]


def _same_bits(reference: Record, here: Record) -> bool:
    """Whether every quantity of every seed that both have (one at least) is the same to the last bit."""
    seeds = common(reference.seeds, here.seeds)
    values = [(reference.by_seed(quantity), here.by_seed(quantity)) for quantity in QUANTITIES]
    return bool(seeds) and all(old[seed] == new[seed] for old, new in values for seed in seeds)


def _compare(reference: Record, here: Record, quantity: Quantity, level: float | None) -> Comparison:
    """Compare one quantity at `level`, or, where that is None, take it as known that the bits are the same."""
    old, new = reference.by_seed(quantity), here.by_seed(quantity)
    seeds = common(old, new)
    if level is None or len(seeds) >= PAIRS:  # then only these are compared
        old, new = ({seed: values[seed] for seed in seeds} for values in (old, new))
    cell = (here.dataset, here.run, quantity.name, statistics.mean(old.values()), statistics.mean(new.values()))
    if level is None:
        return Comparison(*cell, *_unchanged(reference, here, len(seeds)))
    grain = 1 / here.test_images if quantity.key == "test_accuracy" else 0.0
    found = estimate(old, new, quantity.worse, grain)
    if found is None:
        return Comparison(*cell, Verdict.TOO_FEW, f"{len(old)} in the reference, {len(new)} here", level)
    worse, better = (p_worse(replace(found, w=sign * found.w), quantity.margin) for sign in (1, -1))
    catches = smallest_caught(found, quantity.margin, level)
    verdict = Verdict.NO_WORSE if catches <= quantity.limit else Verdict.TOO_FEW
    if min(worse, better) <= level:
        verdict = Verdict.WORSE if worse <= level else Verdict.BETTER
    return Comparison(*cell, verdict, found.how, level, min(worse, better), catches)


def _unchanged(reference: Record, here: Record, shared: int) -> tuple[Verdict, str]:
    seeds = "seed" if shared == 1 else "seeds"
    if sorted(reference.seeds) != sorted(here.seeds):
        return Verdict.NO_WORSE, f"same bits, {shared} common {seeds}"
    if reference.model_sha256 != here.model_sha256:
        return Verdict.NO_WORSE, "same values, another model file"
    return Verdict.IDENTICAL, f"same bits, {shared} {seeds}"


def estimate(old: Mapping[int, float], new: Mapping[int, float], worse: int, grain: float = 0.0) -> Estimate | None:
    """Estimate the worsening from seed -> value; None where there are too few seeds for any spread.

    `grain` is the step in which the values come (one image's share of the accuracy). Rounding to steps adds
    grain^2 / 12 to a variance (Sheppard); adding that much keeps a few equal counts from passing for certainty.
    """
    seeds, step = common(old, new), grain**2 / 12
    if len(seeds) >= PAIRS:
        n, worsenings = len(seeds), [worse * (new[seed] - old[seed]) for seed in seeds]
        variance = statistics.variance(worsenings) + 2 * step
        return Estimate(statistics.mean(worsenings), math.sqrt(variance / n), n - 1, f"paired, {n} seeds")
    if min(len(old), len(new)) < 2:
        return None
    a, b = ((statistics.variance(values.values()) + step) / len(values) for values in (old, new))
    w = worse * (statistics.mean(new.values()) - statistics.mean(old.values()))
    df = (a + b) ** 2 / (a**2 / (len(old) - 1) + b**2 / (len(new) - 1)) if a + b else len(old) + len(new) - 2
    return Estimate(w, math.sqrt(a + b), df, f"Welch, {len(old)} and {len(new)} seeds")


def p_worse(found: Estimate, margin: float) -> float:
    """Return the one-sided p value of "the worsening is at most `margin`"; without any spread it is 0 or 1."""
    if not found.error:
        return 0.0 if found.w > margin else 1.0
    return float(stats.t.sf((found.w - margin) / found.error, found.df))


def smallest_caught(found: Estimate, margin: float, level: float) -> float:
    """Return the true worsening that the test at `level` would find with probability POWER, at the spread seen here.

    It is margin + d error, where P(T > t) = POWER for T of noncentral t(df, d) and t the test's critical value.
    """
    return margin + found.error * _noncentrality(found.df, level)


@functools.cache
def _noncentrality(df: float, level: float) -> float:
    """Return the d above. T > t when Z + d > t s, Z normal and s^2 chi-squared over df.

    The mean over s is taken here, at its quantiles: scipy's own noncentral t does not converge for df near 1.
    """
    critical = float(stats.t.isf(level, df))
    s = np.sqrt(stats.chi2.ppf((np.arange(STEPS) + 0.5) / STEPS, df) / df)

    def excess(d: float) -> float:
        return float(stats.norm.cdf(d - critical * s).mean()) - POWER

    return float(optimize.brentq(excess, 0.0, critical * s[-1] + 4))
