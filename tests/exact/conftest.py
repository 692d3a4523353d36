"""Training on integers, each way and by each route that there is on a CPU."""

from collections.abc import Iterator

import pytest
import torch

from samebits import exact
from samebits.exact.integers import passes, products

PROVEN = [route.name for route in products.ROUTES["cpu"] if products.is_exact(route, torch.device("cpu"))]


@pytest.fixture(autouse=True)
def plain_passes() -> Iterator[None]:
    """A test begins with torch's operations, whatever another has prepared."""
    before = passes._compiled
    passes.use(None)
    yield
    passes.use(before)


@pytest.fixture(params=["plain", "compiled"])
def way(request: pytest.FixtureRequest) -> str:
    """Passes of torch's operations, or numba's."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        assert exact.prepare() is None
        from samebits.exact.integers import fast

        passes.use(fast)
    return str(request.param)


@pytest.fixture(params=PROVEN)
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each route that is exact on this processor."""
    [only] = [each for each in products.ROUTES["cpu"] if each.name == request.param]
    monkeypatch.setattr(products, "_route", lambda device: only)
    return str(request.param)
