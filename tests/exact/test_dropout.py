"""Dropout's masks against Python's integers, and as torch has it."""

import copy

import pytest
import torch
from torch import nn

from samebits import exact
from tests.exact import oracle


def kept(count: int, p: float, seed: int, tag: str) -> list[bool]:
    """Which entries stay, by the oracle's draws."""
    return [oracle.draw(i, seed, tag) >> 32 >= int(p * 2**32) for i in range(1, count + 1)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 2 / 3, 0.999, 1.0])
def test_masks_and_factors_are_the_oracles(p, dtype):
    layer = exact.Dropout(p, seed=3, tag="drop")
    x = exact.normal((6, 50), 1.0, 0, "x").to(dtype).requires_grad_()
    factor = torch.tensor(1.0 / (1.0 - p) if p < 1 else 0.0, dtype=torch.float64).to(dtype)
    for step in (1, 2):
        y = layer(x)
        mask = torch.tensor(kept(300, p, 3, f"drop.step{step}")).view(6, 50)
        assert torch.equal(y, torch.where(mask, x * factor, 0.0))
        g = exact.normal((6, 50), 1.0, 0, "g").to(dtype)
        assert torch.equal(torch.autograd.grad(y, x, g)[0], torch.where(mask, g * factor, 0.0))


def test_evaluation_drops_nothing_and_takes_no_step():
    layer, x = exact.Dropout(), torch.ones(100)
    layer(x)
    assert layer.eval()(x) is x
    assert layer.step.item() == 1


def test_the_share_that_is_dropped():
    """Of a million entries 0.3 of them, within 5 standard deviations."""
    dropped = exact.Dropout(0.3)(torch.ones(10**6)).eq(0).sum().item()
    assert abs(dropped - 300_000) < 5 * (0.3 * 0.7 * 10**6) ** 0.5


def test_masks_differ_by_step_seed_and_layer():
    x = torch.ones(64)
    one = exact.Dropout(seed=0, tag="a")
    masks = [one(x), one(x), exact.Dropout(seed=1, tag="a")(x), exact.Dropout(seed=0, tag="b")(x)]
    assert len({tuple(mask.tolist()) for mask in masks}) == 4
    assert torch.equal(exact.Dropout(seed=0, tag="a")(x), masks[0])


def test_a_training_that_stopped_goes_on_with_its_masks():
    x, through = torch.ones(64), exact.Dropout()
    through(x)
    resumed = exact.Dropout()
    resumed.load_state_dict(copy.deepcopy(through.state_dict()))
    assert torch.equal(resumed(x), through(x))


def test_in_place():
    x = torch.ones(64)
    assert exact.Dropout(inplace=True)(x) is x
    assert torch.equal(x, exact.Dropout()(torch.ones(64)))


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_what_torch_refuses_is_refused(p):
    if p == p:
        with pytest.raises(ValueError, match="between 0 and 1"):
            nn.Dropout(p)
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        exact.Dropout(p)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"dropout: the input is torch.int64"):
        exact.Dropout()(torch.arange(3))


def test_a_nan_is_not_dropped():
    """As in torch's: a NaN times 0 is one."""
    assert bool(exact.Dropout(1.0)(torch.full((4,), torch.nan)).isnan().all())
