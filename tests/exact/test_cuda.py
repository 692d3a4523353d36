"""Op by op on a GPU, against the CPU."""

import pytest
import torch

from samebits import exact
from samebits.claims.machines import golden
from tests.made import small

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def normal(*shape: int, tag: str = "x") -> torch.Tensor:
    return exact.normal(shape, 1.0, 0, tag)


@pytest.mark.parametrize("name", ["exp2", "log", "softmax", "log_softmax"])
def test_elementary(name: str) -> None:
    x = (golden.fractions(10**6, "x") * 20 + 0.01).view(-1, 10)
    f = getattr(exact, name)
    assert torch.equal(f(x.cuda()).cpu(), f(x))


@pytest.mark.parametrize("shape", [(64, 784, 520), (10, 256, 784), (256, 10, 7), (3, 1, 2)])
def test_products(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    a, b = normal(m, k), normal(k, n, tag="y")
    pixels = torch.arange(m * k).remainder(256).to(torch.uint8).view(m, k)
    for x in (a, pixels, a * 1e-300):
        assert torch.equal(exact.matmul(x.cuda(), b.cuda()).cpu(), exact.matmul(x, b))
    batch = torch.stack([a, a * 1e5])
    assert torch.equal(exact.matmul(batch.cuda(), b.cuda()).cpu(), exact.matmul(batch, b))


def test_sums() -> None:
    x = normal(100, 37)
    for dim in (0, 1):
        assert torch.equal(exact.sum(x.cuda(), dim).cpu(), exact.sum(x, dim))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss(reduction: exact.functional.Reduction) -> None:
    z, labels = normal(64, 10).requires_grad_(), torch.arange(64) % 10
    here = exact.cross_entropy(z, labels, reduction)
    there = exact.cross_entropy(z.cuda(), labels.cuda(), reduction)
    assert torch.equal(here, there.cpu())
    upstream = torch.full_like(here, 0.3)
    assert torch.equal(*(torch.autograd.grad(v, z, upstream.to(v.device))[0] for v in (here, there)))


def test_training() -> None:
    (pixels, labels), model = small.data(), small.network().cuda()
    optimiser = exact.SGD(model.parameters(), small.LR, small.MOMENTUM)
    small.train(model, optimiser, exact.CrossEntropyLoss(), range(3), pixels.cuda(), labels.cuda())
    assert exact.digest(model.state_dict()) == exact.digest(small.trained().state_dict())


def test_a_nan_spreads_and_is_found() -> None:
    x = normal(3, 3)
    x[0, 0] = torch.nan
    y = exact.matmul(x.cuda(), x.cuda())
    assert y.isnan().all()
    with pytest.raises(exact.NonFinite):
        exact.finite(y, "y")
