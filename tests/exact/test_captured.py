"""What a GPU does in steps that look at nothing, tried on a CPU: the bits of modules, and what the flags say."""

import pytest
import torch
from torch import Tensor

from samebits import exact
from samebits.exact import elementary
from samebits.exact.integers import captured, plain, products, whole
from tests.exact import test_cuda_integers as on_gpu
from tests.exact.test_cuda_integers import CPU, IMAGES, RATES, labels, layers, pixels, visits


def poisoning(top: Tensor, e: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """`plain.steps` as it is where looking is a wait."""
    return plain.power(e) + (top - top), plain.power(-e)


def network(made: list[tuple[Tensor, Tensor]]) -> captured.Captured:
    return captured.Captured(made, ["a", "b", "c"], RATES, compiled=False)


@pytest.mark.parametrize("name", [route.name for route in products.ROUTES["cpu"]])
def test_whole_steps_end_in_the_bits_of_modules(name, monkeypatch):
    [route] = [each for each in products.ROUTES["cpu"] if each.name == name]
    if not products.is_exact(route, CPU):
        pytest.skip(f"{name} products are not exact on this processor")
    monkeypatch.setattr(on_gpu, "BATCH", IMAGES)  # one step an epoch, which no graph is needed for
    parameters, losses = on_gpu.by_modules(2)
    made = layers(CPU)
    learner = captured.Captured(made, ["a", "b", "c"], RATES, compiled=False, multiply=route)
    means = torch.cat([learner.epoch(pixels(), labels(), visits(CPU), IMAGES + 1)[0] for _ in range(2)])
    for seed, true in enumerate(parameters):
        assert torch.equal(torch.cat([x[seed].flatten() for layer in made for x in layer]), true)
    assert torch.equal(means.mT.flatten(), torch.stack(losses))


@pytest.mark.parametrize(("layer", "part", "said"), [
    (0, 0, "the weights or inputs (layer a"), (1, 0, "the weights or inputs (layer b"),
    (0, 1, "the weights or inputs (layer b"),  # a bias reaches the next layer's inputs
    (2, 1, "the gradient (layer c"),  # the last one's reaches the logits alone
])  # fmt: skip
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_flag_says_network_layer_and_step(layer, part, said, value, monkeypatch):
    monkeypatch.setattr(plain, "steps", poisoning)
    monkeypatch.setattr(plain, "numbers", lambda z: z.add_(z - z))  # as it is there too
    made = layers(CPU)
    made[layer][part][1].view(-1)[2] = value
    with monkeypatch.context() as blind:
        blind.setattr(whole, "softmax_terms", blind_terms)
        with pytest.raises(exact.NonFinite) as caught:
            network(made).epoch(pixels(), labels(), visits(CPU), IMAGES + 1)
    assert str(caught.value).startswith(f"NaN or infinity in {said}")
    assert (caught.value.place["step"], caught.value.place["entry"]) == (1, 1)


def blind_terms(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`softmax_terms` without its look at the logits."""
    d = z - z.amax(-1, keepdim=True)
    e = elementary.softmax_numerators(d)
    return d, e, e.sum(-1, keepdim=True)
