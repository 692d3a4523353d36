"""Training on 8-bit integers on a GPU, against the CPU: pass by pass, by every route, captured and compiled."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact.integers import captured, functional, plain, products, whole
from samebits.exact.random import draws
from samebits.learning.arithmetic import arithmetic
from samebits.learning.concise import network
from samebits.learning.fused import quickest

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
WIDTHS, BATCH, IMAGES, SEEDS = (60, 33, 17, 5), 32, 200, (0, 1)  # a last minibatch of 8
RATES = whole.Rates(0.3, 0.5, 0.001)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def pixels() -> Tensor:
    return torch.from_numpy((draws(IMAGES * WIDTHS[0], 0, "pixels") >> 56).astype("uint8")).view(IMAGES, -1)


def labels() -> Tensor:
    return torch.from_numpy((draws(IMAGES, 0, "labels") >> 32).astype("int64")).remainder(WIDTHS[-1])


def layers(where: torch.device) -> list[tuple[Tensor, Tensor]]:
    made = []
    for i, (k, m) in enumerate(pairwise(WIDTHS)):
        w = torch.stack([exact.uniform((m, k), seed, f"{i}.w", k) for seed in SEEDS])
        b = torch.stack([exact.uniform((m,), seed, f"{i}.b", k) for seed in SEEDS])
        made.append((w.to(where, torch.float32), b.to(where, torch.float32)))
    return made


def visits(where: torch.device) -> Tensor:
    return torch.stack([exact.permutation(IMAGES, seed, "order") for seed in SEEDS]).to(where)


def by_modules(epochs: int) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and losses, on the CPU, layer by layer."""
    parameters, losses = [], []
    for seed in range(len(SEEDS)):
        parts: list[nn.Module] = []
        for w, b in layers(CPU):
            layer = exact.Linear(w.shape[2], w.shape[1])
            layer.weight, layer.bias = nn.Parameter(w[seed]), nn.Parameter(b[seed])
            parts += [layer, nn.ReLU()]
        model, loss = nn.Sequential(*parts[:-1]), exact.CrossEntropyLoss()
        optimizer = exact.SGD(model.parameters(), *RATES[:2], weight_decay=RATES[2])
        for _ in range(epochs):
            for rows in visits(CPU)[seed].split(BATCH):
                optimizer.zero_grad()
                mean = loss(model(pixels()[rows]), labels()[rows])
                mean.backward()
                optimizer.step()
                losses.append(mean.detach())
        parameters.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    return parameters, losses


@pytest.mark.parametrize("compiled", [False, True])
def test_captured_steps_end_in_the_bits_of_modules_on_a_cpu(compiled: bool) -> None:
    network = captured.Captured(made := layers(GPU), ["a", "b", "c"], RATES, compiled=compiled)
    X, y = pixels().cuda(), labels().cuda()
    means = torch.cat([network.epoch(X, y, visits(GPU), BATCH)[0] for _ in range(3)]).cpu()
    assert network.note is None
    parameters, losses = by_modules(3)
    for seed in range(len(SEEDS)):
        mine = torch.cat([x[seed].flatten() for layer in made for x in layer]).cpu()
        assert torch.equal(mine, parameters[seed])
    assert torch.equal(means.mT.flatten(), torch.stack(losses))


def test_a_compiled_step_with_other_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def off(layers: list[whole.Layer], *rest: object) -> whole.Seen:
        seen = whole.step(layers, *rest)  # type: ignore[arg-type]
        layers[0].weight.add_(2.0**-30)
        return seen

    monkeypatch.setattr(captured, "compiled", lambda: off)
    network = captured.Captured(made := layers(GPU), ["a", "b", "c"], RATES, compiled=True)
    network.epoch(pixels().cuda(), labels().cuda(), visits(GPU), BATCH)
    assert network.note == "torch.compile gives other bits here"
    one = torch.cat([x[0].flatten() for layer in made for x in layer]).cpu()
    assert torch.equal(one, by_modules(1)[0][0])


def test_a_nan_is_named_with_network_layer_and_step() -> None:
    made = layers(GPU)
    made[1][0][1, 3, 2] = torch.nan
    network = captured.Captured(made, ["a", "b", "c"], RATES, compiled=False)
    with pytest.raises(exact.NonFinite, match=r"\(.*layer b, step 1.*\)") as caught:
        network.epoch(pixels().cuda(), labels().cuda(), visits(GPU), BATCH)
    assert caught.value.place["entry"] == 1


@pytest.mark.parametrize("name", [route.name for route in products.ROUTES["cuda"]])
def test_each_route_multiplies_exactly(name: str) -> None:
    [route] = [each for each in products.ROUTES["cuda"] if each.name == name]
    assert products.is_exact(route, GPU)


@pytest.mark.parametrize("bits", [plain.WEIGHT, plain.UNSIGNED, plain.BIAS])
def test_exponents(bits: int) -> None:
    tops = torch.from_numpy((draws(10**6, 0, "tops") >> 33).astype("int32")).view(torch.float32)
    tops = tops[torch.isfinite(tops)]
    assert torch.equal(plain.exponents(tops.cuda(), bits).cpu(), plain.exponents(tops, bits))


def test_passes_one_by_one() -> None:
    x, w = exact.normal((3, 70, 200), 1.0, 0, "x").float(), exact.normal((3, 40, 200), 1.0, 0, "w").float()
    g, b = exact.normal((3, 70, 40), 1.0, 0, "g").float(), exact.normal((3, 40), 1.0, 0, "b").float()
    for inputs in (x, x.clip(min=0), pixels()[:70].expand(3, 70, 60)):
        weight = w[..., : inputs.shape[-1]].contiguous()
        here = functional.linear(inputs, weight, b, 255.0)
        assert torch.equal(functional.linear(inputs.cuda(), weight.cuda(), b.cuda(), 255.0).cpu(), here)
        there = functional.weight_gradient(g.cuda(), inputs.cuda(), 255.0).cpu()
        assert torch.equal(there, functional.weight_gradient(g, inputs, 255.0))
    assert torch.equal(functional.bias_gradient(g.cuda()).cpu(), functional.bias_gradient(g))


def test_the_learners_of_both_devices_end_alike() -> None:
    ops, ends = arithmetic("exact"), []
    for where in (CPU, GPU):
        net = network(ops, [(w.to(where), b.to(where)) for w, b in layers(CPU)])
        learner = quickest(ops, net, lr=0.3, momentum=0.5)
        images, order = pixels().view(IMAGES, 6, 10).to(where), visits(where)
        means, hits = learner.epoch(images, labels().to(where), order, BATCH)
        Z = learner.logits(images[:9].expand(len(SEEDS), 9, 6, 10))
        ends.append([x.cpu() for x in (means, hits, Z, *learner.state().values())])
    assert type(learner).__name__ == "Captured"
    for here, there in zip(*ends, strict=True):
        assert torch.equal(here, there)
