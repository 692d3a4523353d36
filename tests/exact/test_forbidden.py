"""No source of the exact path uses what cannot be exact."""

from pathlib import Path

import pytest

from tests.exact import forbidden

EXACT = Path(__file__).parent.parent.parent / "stages" / "exact"


def test_the_package_uses_nothing_forbidden() -> None:
    assert forbidden.forbidden(EXACT) == []


@pytest.mark.parametrize("line", [
    "x.add_(y, alpha=2)", "torch.addcmul(a, b, c)", "x.exp()", "torch.log(x)", "torch.randn(3)", "x / 255",
    "x.div_(255.0)", "torch.lerp(a, b, c)", "F.softmax(x)", "x.float()", "torch.compile(f)", "x ** 0.5",
    "torch._foreach_add_(a, b)", "torch.optim.SGD(p, fused=True)", "from torch import exp", "x.to(torch.float32)",
    "torch.backends.cuda.matmul.allow_tf32 = True", "np.exp(x)", "torch.addmm(a, b, c)", "x.mean()",
])  # fmt: skip
def test_each_is_noticed(line: str) -> None:
    assert forbidden.read(line), line


def test_the_package_s_own_are_not() -> None:
    assert not forbidden.read("from stages import exact\nexact.softmax(z)\ny = x / torch.tensor(255.0)\nz = 2.0**-e")
