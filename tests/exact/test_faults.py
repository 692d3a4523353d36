"""Each fault, planted, must be caught by the check named beside it: tests without this could be asleep."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from samebits.claims.machines import golden
from samebits.exact import elementary, functional, grid, product, random
from samebits.exact.guard import product_bits
from tests.exact import test_elementary, test_product, test_random, test_training
from tests.exact.planted import require_caught


def one_bit_more(terms: int, operands: str) -> int:
    """A budget of 54 bits and more."""
    return product_bits(terms, operands) + 1


def fused(x: Any, coefficients: tuple[float, ...]) -> Any:
    """Horner with each product kept to 64 bits until its sum, as a fused multiply-add would."""
    wide = np.asarray(x).astype(np.longdouble)
    y = np.full(x.shape, coefficients[-1])
    for c in coefficients[-2::-1]:
        y = (wide * y + c).astype(np.float64)
    return y if isinstance(x, np.ndarray) else torch.from_numpy(y)


def single(a: Tensor, b: Tensor, *_: Any) -> Tensor:
    """A product in float32."""
    return (a.float() @ b.float()).double()


def shared(x: Tensor, axes: int) -> Tensor:
    """One maximum for a whole matrix where each row should have its own."""
    return grid.peaks(x, min(x.ndim, 2))


def off_grid(x: Tensor, magic: Any, out: Tensor | None = None) -> Tensor:
    """No grid at all."""
    return torch.add(x, 0.0, out=out)


def truncated(x: Tensor, magic: float, out: Tensor | None = None) -> Tensor:
    """The grid approached from below."""
    return x.div(magic / grid.MAGIC).trunc().mul(magic / grid.MAGIC)


def away(x: Tensor, magic: float, out: Tensor | None = None) -> Tensor:
    """Halves rounded away from zero."""
    y = x.div(magic / grid.MAGIC)
    return torch.copysign((y.abs() + 0.5).floor(), y).mul(magic / grid.MAGIC)


def ulp(table: tuple[float, ...], i: int) -> tuple[float, ...]:
    """The table with one entry moved to the next float."""
    return (*table[:i], float(np.nextafter(table[i], 9.0)), *table[i + 1 :])


def halves() -> None:
    """Entries halfway between two points of the grid go to the even one."""
    x = torch.tensor([[2.0**22, 0.5, 1.5, -2.5, 3.5, 0.25]], dtype=torch.float64)
    assert grid.snap(x, grid.MAGIC).tolist() == [[2.0**22, 0, 2, -2, 4, 0]]


def worst() -> None:
    """Products at the limit of their bits."""
    for kinds in ("rr", "ir", "ri"):
        for length in (1, 64, 512):
            test_product.check_worst(length, kinds)


def sums() -> None:
    """Sums at the limit of theirs."""
    for count in (3, 4, 1000):
        test_product.check_sum(count)


def parts() -> None:
    """Sums in parts."""
    test_product.check_parts(3)


def hashed(name: str) -> Callable[[], None]:
    """A golden hash."""
    return lambda: golden.check(name)


FAULTS: list[tuple[str, Any, str, Any, Callable[[], None]]] = [
    ("one bit too many in a product", grid, "product_bits", one_bit_more, worst),
    ("two bits too many in a sum", functional, "total_bits", lambda count: 55 - (count - 1).bit_length(), sums),
    ("float32 in place of float64", product, "plain", single, worst),
    ("digits too few", product, "digits", lambda bits: bits // 8, worst),
    ("operands not on the grid", product, "snap", off_grid, parts),
    ("terms not on the grid", functional, "snap", off_grid, parts),
    ("a grid for the batch in place of each row's", functional, "peaks", shared,
     test_training.test_an_images_logits_do_not_depend_on_the_images_beside_it),
    ("truncation in place of rounding", grid, "snap", truncated, halves),
    ("halves away from zero", grid, "snap", away, halves),
    ("fused multiply-add in exp2", elementary, "horner", fused, hashed("exp2")),
    ("fused multiply-add in softmax", elementary, "horner", fused, hashed("softmax of near logits")),
    ("fused multiply-add in log", elementary, "horner", fused, hashed("log near 1")),
    ("fused multiply-add, seen by the scalars", elementary, "horner", fused, test_elementary.check_scalars),
    ("log2(e) one ulp away", elementary, "LOG2E", float(np.nextafter(elementary.LOG2E, 9)), hashed("softmax")),
    ("a library's exp2", elementary, "exp2", torch.exp2, hashed("exp2")),
    ("a library's log", elementary, "log", torch.log, hashed("log")),
    ("softmax by a reciprocal", functional._Softmax, "forward",
     staticmethod(lambda ctx, z: functional.softmax_terms(z)[1] * (1 / functional.softmax_terms(z)[2])),
     hashed("softmax")),
    ("another mixing constant", random, "MIX1", np.uint64(0xBF58476D1CE4E5BB), test_random.check_draws),
    ("another step of the counter", random, "GAMMA", np.uint64(0x9E3779B97F4A7C17), test_random.check_draws),
    *((f"exp2's coefficient {i}, one ulp away", elementary, "EXP2", ulp(elementary.EXP2, i),
       test_elementary.check_coefficients) for i in range(9)),
    *((f"exp2's coefficient {i}, one ulp away, seen by the hash", elementary, "EXP2", ulp(elementary.EXP2, i),
       hashed("exp2")) for i in range(4)),
    *((f"log's coefficient {i}, one ulp away", elementary, "LOG", ulp(elementary.LOG, i),
       test_elementary.check_coefficients) for i in range(7)),
]  # fmt: skip


@pytest.mark.parametrize(("where", "name", "fault", "check"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_fault_is_caught(
    where: Any, name: str, fault: Any, check: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_caught(check, lambda: monkeypatch.setattr(where, name, fault))


def saturating(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """An int8 product as on processors without VNNI: pairs of products saturate at 16 bits (columns 1 mod 2)."""
    x, y = (a.double() + 128), b.double()
    pairs = sum((x[:, i::2, None] * y[None, i::2][:, : x[:, i::2].shape[1]]) for i in range(2) if x[:, i::2].numel())
    assert isinstance(pairs, Tensor)
    return out.copy_((pairs.clamp(-(2**15), 2**15 - 1).sum(1) - 128 * y.sum(0)).int())


def unwritten(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """An int8 product as torch up to 2.11 makes it: nothing is written where there is one term in a certain layout."""
    return out if b.shape[0] == 1 and b.stride() == (1, 1) else out.copy_((a.double() @ b.double()).int())


@pytest.fixture
def forgetful() -> Iterator[None]:
    """`int8_is_exact` looks anew, now and afterwards."""
    product.int8_is_exact.cache_clear()
    yield
    product.int8_is_exact.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_saturating_int8_products_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not product.int8_is_exact()
    test_product.check_worst(512, "ir")  # and the float64 product takes over


def one_term() -> None:
    """Products of one term beside pixels."""
    for a in (torch.tensor([[3], [200]], dtype=torch.uint8), torch.tensor([[7]], dtype=torch.uint8)):
        for n in (1, 2, 17):
            b = torch.linspace(-2.0, 3.0, n, dtype=torch.float64)
            for right in (b[None], b[:, None].T):
                assert torch.equal(product.product(a, right), a.double() * right)


@pytest.mark.usefixtures("forgetful")
def test_an_int8_product_that_is_not_written_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_int_mm", unwritten)
    assert product.int8_is_exact()
    one_term()
    monkeypatch.setattr(product, "int8", unwritten)  # as if nobody had known of it
    product.int8_is_exact.cache_clear()
    assert not product.int8_is_exact()
    one_term()
