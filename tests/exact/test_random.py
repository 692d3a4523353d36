"""Counter-based randomness: a second implementation, its distribution, its speed."""

import math
import time

import pytest
import torch
from scipy import stats

from samebits import exact
from tests.exact import oracle


def check_draws() -> None:
    """Permutations and uniforms as plain Python computes them."""
    assert exact.permutation(1000, 7, "order/1").tolist() == oracle.permutation(1000, 7, "order/1")
    for fan_in in (1, 3, 784):
        assert exact.uniform((40, 25), 7, "w", fan_in).flatten().tolist() == oracle.uniform(1000, 7, "w", fan_in)


def test_second_implementation() -> None:
    check_draws()


def test_known_splitmix64_values() -> None:
    """The first values of the published generator from state 1234567."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    key = int.from_bytes(__import__("hashlib").sha256(b"0/x").digest()[:8], "little")
    mixed = []
    for i in range(1, 6):  # the oracle's mixing, started where the publication starts
        x = (1234567 + i * 0x9E3779B97F4A7C15) & oracle.MASK
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & oracle.MASK
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & oracle.MASK
        mixed.append(x ^ x >> 31)
    assert mixed == known
    assert key  # and the package's draws equal the oracle's
    assert exact.random.draws(5, 0, "x").tolist() == [oracle.draw(i, 0, "x") for i in range(1, 6)]


def test_permutation_is_one_and_fast() -> None:
    start = time.perf_counter()
    order = exact.permutation(60000, 0, "order/0")
    assert time.perf_counter() - start < 0.5  # milliseconds, on an idle machine
    assert torch.equal(order.sort().values, torch.arange(60000))
    assert exact.permutation(0, 0, "").tolist() == []
    with pytest.raises(ValueError, match="2\\^20"):
        exact.permutation(2**20 + 1, 0, "")


def test_tags_and_seeds_are_independent() -> None:
    a, b, c = (exact.normal((10000,), 1.0, *key) for key in ((0, "a"), (1, "a"), (0, "b")))
    for x, y in ((a, b), (a, c), (b, c)):
        assert abs(torch.corrcoef(torch.stack([x, y]))[0, 1]) < 0.04
    assert torch.equal(exact.normal((100, 100), 1.0, 0, "a").flatten(), a)


def test_uniform_distribution() -> None:
    x = exact.uniform((100000,), 0, "u", 784)
    assert x.abs().max() <= 1 / math.sqrt(784)
    assert stats.kstest(x.numpy() * math.sqrt(784), stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert torch.equal(x * 2**24, (x * 2**24).round())


def test_normal_distribution() -> None:
    x = exact.normal((200000,), 0.01, 0, "n")
    assert stats.kstest(x.numpy() * 100, "norm").pvalue > 0.01
    assert stats.kurtosistest(x.numpy()).pvalue > 0.01
    tails = (exact.normal((10**6,), 1.0, 1, "n").abs() > 4).double().sum().item()
    assert abs(tails - 63.3) < 4 * math.sqrt(63.3)


def test_normal_is_the_quantile() -> None:
    """Against another library's quantile, for draws of every size including the extreme ones."""
    draws = exact.random.draws(20000, 0, "q")
    p = ((draws >> 12).astype("float64") + 0.5) * 2.0**-52
    true = torch.from_numpy(stats.norm.ppf(p))
    assert ((exact.normal((20000,), 1.0, 0, "q") - true).abs() <= 1e-13 * true.abs() + 1e-15).all()
