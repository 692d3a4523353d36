"""exp2, log, softmax and the loss: golden hashes, a scalar second implementation, and their accuracy."""

import math
from decimal import Decimal, localcontext

import pytest
import torch

from samebits import exact
from samebits.claims.machines import golden
from samebits.exact import elementary
from tests.exact import oracle

LN2 = Decimal("0.693147180559945309417232121458176568075500134360255254120680009493")


@pytest.mark.parametrize("name", golden.HASHES)
def test_golden_hash_of_a_million(name: str) -> None:
    golden.check(name)


def check_coefficients() -> None:
    """The polynomials are those of the document."""
    assert list(elementary.EXP2) == oracle.EXP2
    assert list(elementary.LOG) == oracle.LOG
    assert elementary.LOG2E.hex() == "0x1.71547652b82fep+0"


def test_coefficients() -> None:
    check_coefficients()


def check_scalars() -> None:
    """Every bit as a loop over Python floats gives it."""
    t = golden.fractions(3000, "t") * 1000 - 500
    assert exact.exp2(t).tolist() == [oracle.exp2(v) for v in t.tolist()]
    x = golden.spread(3000, "x")
    assert exact.log(x).tolist() == [oracle.log(v) for v in x.tolist()]
    z = golden.fractions(3000, "z").view(-1, 10) * 80 - 20
    assert exact.softmax(z).tolist() == [oracle.softmax(row) for row in z.tolist()]


def test_second_implementation() -> None:
    check_scalars()


def test_exp2_accuracy() -> None:
    t = torch.cat([golden.fractions(2000, "t") * 2040 - 1020, torch.linspace(-0.5, 0.5, 1001, dtype=torch.float64)])
    with localcontext() as context:
        context.prec = 60
        worst = max(abs(Decimal(y) / (Decimal(v) * LN2).exp() - 1)
                    for v, y in zip(t.tolist(), exact.exp2(t).tolist(), strict=True))  # fmt: skip
    assert worst < Decimal(2) ** Decimal("-38.7")


def test_log_accuracy() -> None:
    x = torch.cat([golden.spread(2000, "x"), torch.linspace(0.5, 2, 2001, dtype=torch.float64),
                   1 + golden.fractions(500, "near") * 1e-8])  # fmt: skip
    with localcontext() as context:
        context.prec = 60
        worst = max(float(abs(Decimal(y) - Decimal(v).ln())) / (math.ulp(y) if y else 1.0)
                    for v, y in zip(x.tolist(), exact.log(x).tolist(), strict=True))  # fmt: skip
    assert worst < 2


def test_softmax_accuracy() -> None:
    z = golden.fractions(2000, "z").view(-1, 10) * 30 - 15
    true = torch.softmax(z, -1)
    assert (exact.softmax(z) - true).abs().max() < 2.0**-37
    assert (exact.log_softmax(z) - torch.log_softmax(z, -1)).abs().max() < 2.0**-37


def test_exp_and_sum_make_softmax() -> None:
    z = golden.fractions(3000, "z").view(-1, 10) * 60
    d = z - z.amax(1, keepdim=True)
    e = exact.exp(d)
    s = exact.sum(e, 1)[:, None]
    assert torch.equal(e / s, exact.softmax(z))
    assert torch.equal(d - exact.log(s), exact.log_softmax(z))
    with pytest.raises(exact.Refused, match="maximum"):
        exact.exp(torch.ones(1, dtype=torch.float64))


def test_edges() -> None:
    inf = torch.inf
    assert exact.log(torch.tensor([0.0, -0.0, 1.0, inf], dtype=torch.float64)).tolist() == [-inf, -inf, 0, inf]
    assert exact.log(torch.tensor([-1.0, -inf, torch.nan], dtype=torch.float64)).isnan().all()
    assert exact.exp2(torch.tensor([0.0, 1, -1074, -1100, 1023, 1100], dtype=torch.float64)).tolist() == [
        1, 2, 2.0**-1074, 0, 2.0**1023, inf]  # fmt: skip
    assert exact.exp2(torch.tensor([torch.nan], dtype=torch.float64)).isnan().all()
    assert exact.softmax(torch.tensor([[1000.0, 0, -1e308]], dtype=torch.float64)).tolist() == [[1, 0, 0]]


def test_printed_values_of_the_notes() -> None:
    def loss(logits: list[float], label: int) -> float:
        return exact.cross_entropy(torch.tensor([logits], dtype=torch.float64), torch.tensor([label])).item()

    assert loss([2, 1, 0.1], 0) == pytest.approx(0.41703, abs=5e-6)
    assert loss([0.5, 2, 0.3], 0) == pytest.approx(1.8406162, abs=2e-7)
    assert loss([0.1, 0, 0, 1], 3) == pytest.approx(0.7618933412552511, abs=1e-10)
    assert loss([0] * 10, 4) == pytest.approx(math.log(10), abs=1e-15)
    p = exact.softmax(torch.tensor([[1.0, 2, 3]], dtype=torch.float64))[0].tolist()
    assert p == pytest.approx([0.0900, 0.2447, 0.6652], abs=5e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_and_its_gradient(reduction: exact.functional.Reduction) -> None:
    z = (golden.fractions(60, "z").view(6, 10) * 8).requires_grad_()
    labels = torch.tensor([0, 9, 3, 3, 1, 2])
    ours = exact.cross_entropy(z, labels, reduction)
    theirs = torch.nn.functional.cross_entropy(z, labels, reduction=reduction)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    upstream = torch.full_like(ours, 0.5)
    torch.testing.assert_close(torch.autograd.grad(ours, z, upstream), torch.autograd.grad(theirs, z, upstream),
                               rtol=1e-9, atol=1e-9)  # fmt: skip


@pytest.mark.parametrize("name", ["exp2", "log", "softmax", "log_softmax"])
def test_gradients_match_autograd(name: str) -> None:
    x = (golden.fractions(20, "x").view(4, 5) + 0.5).requires_grad_()
    upstream = golden.fractions(20, "up").view(4, 5)
    theirs = {"softmax": lambda v: torch.softmax(v, -1), "log_softmax": lambda v: torch.log_softmax(v, -1)}
    (ours,) = torch.autograd.grad(getattr(exact, name)(x), x, upstream)
    (true,) = torch.autograd.grad(theirs.get(name, getattr(torch, name))(x), x, upstream)
    torch.testing.assert_close(ours, true, rtol=1e-9, atol=1e-9)
