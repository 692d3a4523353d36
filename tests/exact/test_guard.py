"""What is refused, and what the message says."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from samebits import exact

F64 = torch.float64


both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@both_types
def test_a_nan_is_named_with_layer_epoch_and_step(dtype: torch.dtype) -> None:
    model = nn.Sequential(exact.Linear(3, 2, tag="first", dtype=dtype), exact.Linear(2, 2, tag="second", dtype=dtype))
    list(model.parameters())[2].data[0, 0] = torch.nan
    with pytest.raises(exact.NonFinite) as caught, exact.at(epoch=3), exact.at(step=17):
        model(torch.ones(4, 3, dtype=dtype))
    assert str(caught.value) == "NaN or infinity in the weight (epoch 3, step 17, layer second)"
    assert caught.value.place == {"epoch": 3, "step": 17, "layer": "second"}


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_every_reduction_notices(bad: float) -> None:
    x = torch.ones(3, 3, dtype=F64)
    y = x.clone()
    y[1, 2] = bad
    for call in (lambda: exact.matmul(x, y), lambda: exact.matmul(y, x), lambda: exact.sum(y, 0),
                 lambda: exact.sum(y, 1), lambda: exact.softmax(y), lambda: exact.log_softmax(y),
                 lambda: exact.cross_entropy(y, torch.tensor([0, 1, 2])), lambda: exact.digest({"y": y}),
                 lambda: exact.finite(y, "y"), lambda: exact.matmul(y[None], x[None])):  # fmt: skip
        with pytest.raises(exact.NonFinite):
            call()


@both_types
def test_a_nan_in_the_gradient_is_named(dtype: torch.dtype) -> None:
    layer = exact.Linear(3, 2, dtype=dtype)
    out = layer(torch.ones(4, 3, dtype=dtype))
    with pytest.raises(exact.NonFinite, match="the gradient"):
        out.backward(torch.full_like(out, torch.nan))


def test_without_reading_back_a_nan_spreads() -> None:
    """The route of a GPU: the whole product becomes NaN, which training never heals and `finite` finds."""
    x = torch.ones(3, 3, dtype=F64)
    for bad in (torch.nan, torch.inf):
        y = x.clone()
        y[1, 2] = bad
        assert exact.product.scaled(y, x, (20, 20)).isnan().all()
        assert exact.product.scaled(x.to(torch.uint8), y, (8, 20)).isnan().all()


def test_widths_beyond_53_bits_are_refused_with_the_arithmetic() -> None:
    exact.require_sizes(256, (784, 520, 10))
    exact.require_sizes(1, (2**21, 10))
    with pytest.raises(exact.Refused, match=r"2097153 terms: 53 bits - 22 .* leave 31, 15 for each"):
        exact.require_sizes(1, (2**21 + 1, 10))
    with pytest.raises(exact.Refused, match="batch of 4194304"):
        exact.require_sizes(2**22, (10, 10))
    with pytest.raises(exact.Refused, match=r"9000 classes.*40 \+ 14 bits exceed 53"):
        exact.require_sizes(1, (10, 9000))
    with pytest.raises(exact.Refused, match="batch 0"):
        exact.require_sizes(0, (10, 10))
    with pytest.raises(exact.Refused, match="wide: a product over 4000000 inputs"):
        exact.Linear(4_000_000, 1, tag="wide")
    with pytest.raises(exact.Refused, match="classes"):
        exact.softmax(torch.zeros(1, 8193, dtype=F64))


def test_other_types_are_refused() -> None:
    x = torch.ones(2, 2)
    calls: list[Callable[[], object]] = [
        lambda: exact.matmul(x, x.double()), lambda: exact.matmul(x.long(), x.double()),
        lambda: exact.softmax(x), lambda: exact.sum(x, 0),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(TypeError, match="float64"):
            call()
    with pytest.raises(ValueError, match="labels"):
        exact.cross_entropy(x.double(), torch.tensor([0]))


@pytest.mark.parametrize("function", [exact.exp, exact.exp2, exact.log, exact.softmax, exact.log_softmax,
                                      lambda x: exact.sum(x, 0), lambda x: exact.divide(x, 3)])  # fmt: skip
@pytest.mark.parametrize("count", [3, 2**16])
def test_float32_is_refused_by_every_function(function, count: int) -> None:
    with pytest.raises(TypeError, match=r"float32"):
        function(-torch.ones(1, count, dtype=torch.float32).mT)


@pytest.mark.parametrize("count", [3, 2**16])
def test_the_numerators_have_no_gradient(count: int) -> None:
    d = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    assert not exact.exp(d).requires_grad


def test_an_unknown_reduction_is_refused() -> None:
    logits, labels = torch.zeros(2, 3, dtype=torch.float64), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"^reduction is 'avg', but it must be mean, sum or none$"):
        exact.cross_entropy(logits, labels, "avg")  # type: ignore[arg-type]


def test_complex_numbers_have_no_digest() -> None:
    with pytest.raises(TypeError, match=r"^tensor 'w' is torch.complex128: a digest is of real numbers$"):
        exact.digest({"w": torch.zeros(2, dtype=torch.complex128)})


def test_a_maximum_that_is_not_one_is_refused() -> None:
    x = torch.ones(2, 2, dtype=F64)
    with pytest.raises(exact.Refused, match="a_peak"):
        exact.matmul(x, x, a_peak=0.5)
    with pytest.raises(exact.Refused, match="terms"):
        exact.matmul(x, x, terms=1)
    with pytest.raises(exact.Refused, match="peak"):
        exact.sum(x, 0, peak=0.5)
    with pytest.raises(exact.Refused, match="count"):
        exact.sum(x, 0, count=1)


def test_digest() -> None:
    x = torch.tensor([[0.0, 1.0]], dtype=F64)
    assert exact.digest({"a": x}) == exact.digest({"a": x * torch.tensor([-1.0, 1.0], dtype=F64)})
    variants = [{"a": x}, {"b": x}, {"a": x.T}, {"a": x.float()}, {"a": x, "b": x}, {"a": x + 2**-52}]
    assert len({exact.digest(v) for v in variants}) == len(variants)
    assert exact.digest({"a": x, "b": x.T}) == exact.digest({"b": x.T.contiguous(), "a": x})
    import hashlib

    raw = b'["a", "float64", [1, 2]]\n' + bytes(8) + bytes.fromhex("000000000000f03f")
    assert exact.digest({"a": x}) == hashlib.sha256(raw).hexdigest()


def test_negative_zero_and_scalars_hash() -> None:
    assert exact.digest({"n": torch.tensor(-0.0)}) == exact.digest({"n": torch.tensor(0.0)})
    assert math.isfinite(int(exact.digest({"n": torch.tensor(True), "h": torch.ones(2).bfloat16()}), 16))


def test_second_derivatives_are_refused() -> None:
    x = torch.ones(2, 2, dtype=F64, requires_grad=True)
    for y in (exact.matmul(x, x), exact.softmax(x), exact.log(x)):
        with pytest.raises(exact.Refused, match="create_graph"):
            torch.autograd.grad(y.sum(), x, create_graph=True)
