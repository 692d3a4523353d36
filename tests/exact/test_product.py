"""Exact products and sums against integers of unlimited size, at the limits of their bits."""

import pytest
import torch
from torch import Tensor

from samebits import exact
from samebits.exact import grid, product
from samebits.exact.functional import total
from samebits.exact.grid import split
from tests.exact import oracle

LENGTHS = [1, 2, 3, 10, 64, 128, 255, 256, 257, 512, 784, 1024]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pixels(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def worst(length: int, kinds: str) -> tuple[Tensor, Tensor]:
    """Operands whose sum is odd and as long as the bits allow: every integer 2^p - 1 but the largest, 2^p, once."""
    rows = []
    types = [torch.uint8 if kind == "i" else torch.float64 for kind in kinds]
    for kind, each, place in zip(kinds, split(length, *types), (0, length // 2), strict=True):
        if kind == "i":
            rows.append(torch.full((length,), 255, dtype=torch.uint8))
        else:
            rows.append(torch.full((length,), 2.0**each - 1, dtype=torch.float64))
            rows[-1][place] = 2.0**each
    return rows[0][None].repeat(2, 1), rows[1][:, None].repeat(1, 3)


def check_worst(length: int, kinds: str) -> None:
    """Compare with Python integers; the routes must agree too."""
    a, b = worst(length, kinds)
    a[1] //= 2 if kinds[0] == "i" else 1
    true = [[int(sum(int(p) * int(q) for p, q in zip(row, column, strict=True))) for column in b.T.tolist()]
            for row in a.tolist()]  # fmt: skip
    assert [[int(v) for v in row] for row in exact.matmul(a, b).tolist()] == true
    bits = split(length, a.dtype, b.dtype)
    assert [[int(v) for v in row] for row in product.scaled(a, b, bits).tolist()] == true


def check_random(a: Tensor, b: Tensor) -> None:
    """Compare with fractions, on every route that applies."""
    true = torch.tensor(oracle.product(a.tolist(), b.tolist()), dtype=torch.float64)
    assert torch.equal(exact.matmul(a, b), true)
    assert torch.equal(exact.matmul(b.T, a.T), true.T)
    assert torch.equal(product.scaled(a, b, grid.split(a.shape[1], a.dtype, b.dtype)), true)


def test_the_split_of_the_bits() -> None:
    real, pixel = torch.float64, torch.uint8
    assert grid.split(784, real, real) == (21, 21)
    assert grid.split(784, pixel, real) == (8, 35)
    assert grid.split(256, real, pixel) == (37, 8)
    assert grid.split(1, real, real) == (26, 26)
    for length in range(1, 2000):
        for pair in ((real, real), (real, pixel), (pixel, real), (pixel, pixel)):
            assert sum(grid.split(length, *pair)) + (length - 1).bit_length() <= 53


@pytest.mark.parametrize("kinds", ["rr", "ir", "ri"])
@pytest.mark.parametrize("length", LENGTHS)
def test_longest_sums_are_exact(length: int, kinds: str) -> None:
    check_worst(length, kinds)


@pytest.mark.parametrize("length", [1, 2, 7, 64, 300])
def test_products_match_fractions(length: int) -> None:
    check_random(random(4, length), random(length, 3, seed=1))
    check_random(pixels(4, length), random(length, 3))
    check_random(random(3, length), pixels(length, 4))
    check_random(random(2, length) * torch.logspace(-30, 30, length, dtype=torch.float64), random(length, 2, seed=2))


def test_int8_route_equals_the_float64_one() -> None:
    a, b = pixels(256, 784), random(784, 10)
    for x, y in ((a, b), (random(10, 256), pixels(256, 784)), (torch.full_like(a, 255), b), (a * 0, b)):
        bits = grid.split(x.shape[1], x.dtype, y.dtype)
        assert torch.equal(product.scaled(x, y, bits), product.product(x, y))
    for bits_ in range(16, 46):
        n = product.digits(bits_)
        assert not n or 127 * (256**n - 1) // 255 >= 2**bits_


@pytest.mark.parametrize("scale", [0.0, 1e-320, 1e-300, 1e-150, 1e150, 1e300])
def test_any_magnitude(scale: float) -> None:
    a, b = random(3, 20), random(20, 2, seed=1)
    for x, y in ((a * scale, b), (b.T * scale, a.T), (a * scale, b / (scale or 1.0) if scale > 1e-300 else b)):
        check_random(x, y)
    check_random(pixels(3, 20), b * scale)


def test_overflow_is_an_error_or_infinite_but_never_silent() -> None:
    huge = random(2, 4) * 1e300
    assert not torch.isfinite(exact.matmul(huge, huge.T)).all()


def test_empty_axes() -> None:
    assert exact.matmul(random(0, 3), random(3, 2)).shape == (0, 2)
    assert torch.equal(exact.matmul(random(2, 0), random(0, 3)), torch.zeros(2, 3, dtype=torch.float64))
    assert exact.sum(random(0, 3), 0).tolist() == [0, 0, 0]
    assert exact.softmax(random(0, 3)).shape == (0, 3)


def test_order_of_the_sum_does_not_matter() -> None:
    a, b = random(5, 784), random(784, 6, seed=1)
    whole = exact.matmul(a, b)
    for seed in range(5):
        order = torch.randperm(784, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(exact.matmul(a[:, order], b[order]), whole)
        assert torch.equal(exact.matmul(a[:, order].T.contiguous().T, b[order].T.contiguous().T), whole)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_parts_add_up_to_the_whole(workers: int) -> None:
    check_parts(workers)


def check_parts(workers: int) -> None:
    """A product, a product with pixels and a sum, in parts, with the maximum over all parts."""
    g, h, p = random(10, 100), random(100, 30, seed=1), pixels(100, 30)
    parts = torch.arange(100).tensor_split(workers)
    top = g.abs().max().item()
    whole = exact.matmul(g, h), exact.matmul(g, p), exact.sum(h, 0)
    for rows in (parts, parts[::-1]):
        one = [exact.matmul(g[:, r], h[r], a_peak=top, b_peak=h.abs().max(), terms=100) for r in rows]
        two = [exact.matmul(g[:, r], p[r], a_peak=top, terms=100) for r in rows]
        three = [exact.sum(h[r], 0, peak=h.abs().max(), count=100) for r in rows]
        for sums, true in zip((one, two, three), whole, strict=True):
            assert torch.equal(torch.stack(sums).sum(0), true)


def test_each_batch_entry_has_its_own_grid() -> None:
    a, b = random(3, 4, 20) * torch.tensor([1, 1e8, 1e-8])[:, None, None], random(3, 20, 5, seed=1)
    together = exact.matmul(a, b)
    bits = grid.split(20, a.dtype, b.dtype)
    assert torch.equal(product.scaled(a, b, bits), together)
    shared = exact.matmul(pixels(4, 20), b)
    for i in range(3):
        assert torch.equal(exact.matmul(a[i], b[i]), together[i])
        assert torch.equal(exact.matmul(pixels(4, 20), b[i]), shared[i])
        assert torch.equal(exact.sum(a, 1)[i], exact.sum(a[i], 0))


def test_each_row_may_have_its_own_grid() -> None:
    """Then what stands beside a row changes none of its bits."""
    a, b = random(40, 20) * torch.logspace(-9, 9, 40, dtype=torch.float64)[:, None], random(20, 5, seed=1)
    rows = exact.matmul(a, b, a_peak=a.abs().amax(1, keepdim=True))
    assert torch.equal(rows, torch.cat([exact.matmul(row[None], b) for row in a]))
    assert not torch.equal(rows, exact.matmul(a, b))
    assert torch.equal(exact.matmul(b.T, a.T, b_peak=a.abs().amax(1)[None]), rows.T)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 1000])
def test_sums_match_fractions(count: int) -> None:
    check_sum(count)


def check_sum(count: int) -> None:
    """Worst and random cases, on both routes."""
    bits = 53 - (count - 1).bit_length()
    worst_case = torch.full((count, 1), 2.0**bits - 1, dtype=torch.float64)
    worst_case[0] += count % 2
    for x in (worst_case, random(count, 1), random(count, 1) * 1e-310):
        step_true = float(sum(v[0] for v in oracle.gridded(x.tolist(), bits)))
        assert exact.sum(x, 0).item() == step_true
        assert total(x[None], 1)[0].item() == step_true


def test_gradients_match_autograd() -> None:
    a, b = random(4, 6).requires_grad_(), random(6, 3, seed=1).requires_grad_()
    for f, g in ((exact.matmul, torch.matmul),):
        upstream = random(4, 3, seed=2)
        ours = torch.autograd.grad(f(a, b), (a, b), upstream)
        theirs = torch.autograd.grad(g(a, b), (a, b), upstream)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    (ours_sum,) = torch.autograd.grad(exact.sum(a, 0), a, torch.ones(6, dtype=torch.float64))
    assert torch.equal(ours_sum, torch.ones_like(a))


def test_accuracy_beside_float32() -> None:
    """Two real operands: within 8 times of float32's error (TF32 is 2000 times); beside pixels far below it."""
    a, b, p = random(64, 784), random(784, 100, seed=1), pixels(64, 784)
    for x, bound in ((a, 8), (p, 0.01)):
        true = x.double() @ b
        assert (exact.matmul(x, b) - true).norm() < bound * ((x.float() @ b.float()).double() - true).norm()
