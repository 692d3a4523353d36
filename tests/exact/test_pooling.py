"""Pools: maxima and their places bit for bit, sums against fractions, sizes and refusals as torch has them."""

from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import pooling
from tests.exact.planted import require_caught
from tests.made.by_fractions import to_float32

F32, F64 = torch.float32, torch.float64
SIZES: dict[str, dict[str, Any]] = {
    "side by side": {"kernel_size": 2},
    "apart": {"kernel_size": (2, 1), "stride": 3},
    "overlapping": {"kernel_size": 3, "stride": 2, "padding": 1},
    "beyond": {"kernel_size": (3, 2), "stride": (2, 3), "ceil_mode": True},
    "beyond the padding": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    "every place": {"kernel_size": (2, 3), "stride": 1},
    "pairs": {"kernel_size": (1, 2), "stride": 1},  # sums of two, which have more than 51 bits
}


def inputs(dtype: torch.dtype = F32) -> Tensor:
    """Of very different sizes, with equal maxima among them."""
    x = exact.normal((3, 2, 7, 8), 1.0, 9, "x").to(dtype) * torch.logspace(-9, 9, 3, dtype=dtype)[:, None, None, None]
    x[1] = x[1].sign()
    return x


def there_and_back(pool: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = pool(x)
    [dx] = torch.autograd.grad(y, x, exact.normal(y.shape, 1.0, 9, "g").to(y.dtype))
    return y.detach(), dx


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", [*SIZES, "dilated"])
def test_maxima_are_torchs_and_gradients_go_to_the_same_places(name, dtype):
    """Where windows overlap, gradients are within a float32 rounding of torch's float64 sums (a float64 one: 2^-48)."""
    how = SIZES.get(name, {"kernel_size": 3, "stride": 1, "dilation": 2, "padding": 1})
    x = inputs(dtype)
    y, dx = there_and_back(exact.MaxPool2d(**how), x)
    true, below = there_and_back(nn.MaxPool2d(**how), x.double())
    assert y.dtype == dx.dtype == dtype
    assert torch.equal(y.double(), true)
    if dtype == F32:  # upstream was rounded to float32
        g = exact.normal(y.shape, 1.0, 9, "g").float().double()
        again = x.double().requires_grad_()
        [below] = torch.autograd.grad(nn.MaxPool2d(**how)(again), again, g)
    assert (dx.double() - below).abs().max() <= below.abs().max() * 2.0 ** (-24 if dtype == F32 else -48)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(("name", "with_padding"), [*product(SIZES, [True, False])])
def test_means_are_within_a_rounding_of_torchs(name, with_padding, dtype):
    """A sum is exact on a grid of 53 - ceil(log2 entries) bits, 2^-49 of its sample's top; then two roundings."""
    how, x = {**SIZES[name], "count_include_pad": with_padding}, inputs(dtype)
    y, dx = there_and_back(exact.AvgPool2d(**how), x)
    again = x.double().requires_grad_()
    true = nn.AvgPool2d(**how)(again)
    [below] = torch.autograd.grad(true, again, exact.normal(y.shape, 1.0, 9, "g").to(dtype).double())
    tops = x.double().abs().amax((1, 2, 3), keepdim=True)
    one = 2.0 ** (-24 if dtype == F32 else -53)
    assert y.dtype == dx.dtype == dtype
    assert bool(((y.double() - true).abs() <= true.abs() * one * 2 + tops * 2.0**-48).all())
    assert (dx.double() - below).abs().max() <= below.abs().max() * (one * 2 + 2.0**-48)


def check_means() -> None:
    """A mean of float32 numbers alike is the true mean, rounded to float64, then to float32."""
    x = (exact.uniform((2, 2, 6, 6), 9, "x", 1) + 1.5).float()
    y = exact.AvgPool2d(3, 2)(x)
    for (n, c, i, j), mean in [(place, y[place].item()) for place in product(range(2), range(2), range(2), range(2))]:
        entries = [Fraction(v) for v in x[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].flatten().tolist()]
        assert mean == to_float32(Fraction(float(sum(entries) / 9)))


def test_means_by_fractions():
    check_means()


def test_a_divisor_may_be_given():
    x = inputs()
    assert torch.equal(exact.AvgPool2d(2, divisor_override=1)(x), exact.AvgPool2d(2, divisor_override=2)(x) * 2)
    assert torch.allclose(exact.AvgPool2d(2, divisor_override=3)(x), nn.AvgPool2d(2, divisor_override=3)(x), atol=1e3)


@pytest.mark.parametrize("kind", [exact.MaxPool2d, exact.AvgPool2d])
def test_no_order_of_positions_or_samples_matters(kind):
    pool, x = kind(3, 2, 1), inputs()[:, :, :7, :7]
    y, dx = there_and_back(pool, x)
    for turned in (lambda t: t.flip(0), lambda t: t.flip(2), lambda t: t.mT):
        again = turned(x).clone().requires_grad_()
        z = pool(again)
        assert torch.equal(z, turned(y))
        if kind is exact.AvgPool2d:  # of equal maxima the first is another
            g = turned(exact.normal(y.shape, 1.0, 9, "g").float())
            assert torch.equal(torch.autograd.grad(z, again, g)[0], turned(dx))


def test_a_sample_does_not_depend_on_those_beside_it():
    for pool in (exact.MaxPool2d(3, 2, 1), exact.AvgPool2d(3, 2, 1)):
        x = inputs().requires_grad_()
        y = pool(x)
        g = exact.normal(y.shape, 1.0, 9, "g").float() * torch.logspace(9, -9, 3)[:, None, None, None]
        [dx] = torch.autograd.grad(y, x, g)
        for i in range(3):
            alone = x.detach()[i].requires_grad_()  # and without its axis
            z = pool(alone)
            assert torch.equal(z, y[i])
            assert torch.equal(torch.autograd.grad(z, alone, g[i])[0], dx[i])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8])
def test_pixels_have_maxima_too(dtype):
    x = (inputs() * 1e9).clip(-128, 127).to(torch.int8)
    x = x if dtype == torch.int8 else x.int().add(128).to(torch.uint8)
    y = exact.MaxPool2d(3, 2, 1)(x)
    assert y.dtype == dtype
    assert torch.equal(y.double(), nn.MaxPool2d(3, 2, 1)(x.double()))


@pytest.mark.parametrize("wrong", [
    {"kernel_size": 9}, {"kernel_size": 2, "padding": 2}, {"kernel_size": 2, "stride": 0},
    {"kernel_size": 2, "padding": -1},
])  # fmt: skip
@pytest.mark.parametrize("name", ["MaxPool2d", "AvgPool2d"])
def test_what_torch_refuses_is_refused(name, wrong):
    with pytest.raises((RuntimeError, ValueError)):
        getattr(nn, name)(**wrong)(inputs())
    with pytest.raises(ValueError, match=r"too small|at most half|at least"):
        getattr(exact, name)(**wrong)(inputs())


def test_and_what_is_not_there():
    with pytest.raises(exact.Refused, match="returns no indices"):
        exact.MaxPool2d(2, return_indices=True)
    with pytest.raises(ValueError, match="divisor_override is 0"):
        exact.AvgPool2d(2, divisor_override=0)
    for pool in (exact.MaxPool2d(2), exact.AvgPool2d(2)):
        with pytest.raises(ValueError, match=r"must be \[n, channels"):
            pool(torch.zeros(3, 3))
        with pytest.raises(TypeError, match="int32"):
            pool(torch.zeros(1, 3, 3).int())
        y = pool(inputs().requires_grad_())
        with pytest.raises(exact.Refused, match="create_graph"):
            torch.autograd.grad(y.sum(), y.grad_fn.next_functions[0][0].variable, create_graph=True)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_named(bad):
    for pool in (exact.MaxPool2d(2, 1), exact.AvgPool2d(2, 1)):
        with pytest.raises(exact.NonFinite, match="the input of a pool"):
            pool(inputs().index_fill(3, torch.tensor([2]), bad))
        y = pool(inputs().requires_grad_())
        with pytest.raises(exact.NonFinite, match="the gradient"):
            y.backward(torch.full_like(y, bad))


def single(x: Tensor, count: int, what: str) -> Tensor:
    """Sums in float32."""
    return x.float()


def test_sums_in_float32_are_caught(monkeypatch):
    require_caught(check_means, partial(monkeypatch.setattr, pooling, "summands", single))
