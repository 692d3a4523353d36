"""Each layer on a GPU against the CPU, there and back."""

import pytest
import torch

from samebits import exact
from samebits.claims.machines import golden
from samebits.exact.integers import products
from tests.made import layers

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.mark.parametrize("name", golden.LAYERS)
def test_a_layer_gives_the_committed_hash(name, monkeypatch):
    plain = golden.through
    monkeypatch.setattr(golden, "through", lambda layer: plain(layer, "cuda"))
    golden.check(name)


@pytest.mark.parametrize("route", [each.name for each in products.ROUTES["cuda"]])
def test_a_convolution_by_every_route(route, monkeypatch):
    [only] = [each for each in products.ROUTES["cuda"] if each.name == route]
    if not products.is_exact(only, torch.device("cuda")):
        pytest.skip(f"{route} products are not exact on this GPU, and not used")
    monkeypatch.setattr(products, "_route", lambda device: only)
    layer = exact.Conv2d(10, 8, 3, padding=1, groups=2, seed=3)
    assert golden.digest(golden.through(layer, "cuda")) == golden.HASHES["Conv2d"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_network_learns_the_same(dtype):
    assert exact.digest(layers.trained(dtype, "cuda")) == exact.digest(layers.trained(dtype))
