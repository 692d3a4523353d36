"""Each step of training on integers, each rounding in it, against fractions (tests/made/by_fractions.py), bit for bit.

Whole trainings hide what single steps show: a last bit is lost when it is rounded onto the next grid.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact.integers import plain
from samebits.exact.random import draws
from tests.exact.planted import require_caught
from tests.made import by_fractions

N, K, M = 7, 12, 5
I32 = torch.int32
LEVELS = 255
RATES = [(0.1, 0.0, 0.0), (0.3, 0.5, 0.0), (0.01, 0.9, 0.1), (1 / 3, 0.0, 0.01)]


def normal(shape: tuple[int, ...], tag: str) -> Tensor:
    return exact.normal(shape, 1.0, 4, tag).float()


def ties(shape: tuple[int, ...], tag: str) -> Tensor:
    """Rows whose largest entry is 127 of the grid of 7 bits, and all others halfway between two of its integers."""
    x = torch.from_numpy((draws(shape[0] * shape[1], 4, tag) % 126).astype("float32")).view(shape) + 0.5
    x[:, ::2] *= -1
    x[:, 0] = 127.0
    return x * torch.logspace(-12, 12, shape[0], 2)[:, None]


def carried(shape: tuple[int, ...], tag: str) -> Tensor:
    """Largest entries just below, at and just above the places where a grid of 7, 8, 22 bits becomes coarser."""
    x = normal(shape, tag).clip(-1, 1)
    for i, row in enumerate(x):
        top = np.float32((127.5, 255.5, 2.0**22 - 0.5, 1.0)[i % 4])
        row[i % shape[1]] = float(np.nextafter(top, top + i % 3 - 1))
    return x


KINDS: dict[str, Callable[[tuple[int, ...], str], Tensor]] = {
    "normal": normal,
    "not negative": lambda shape, tag: normal(shape, tag).clip(min=0),
    "of every size": lambda shape, tag: normal(shape, tag) * torch.logspace(-30, 14, shape[0])[:, None],
    "columns of every size": lambda shape, tag: normal(shape, tag) * torch.logspace(-30, 14, shape[1]),
    "denormal": lambda shape, tag: normal(shape, tag) * 2.0**-140,
    "at the finest grid": lambda shape, tag: normal(shape, tag) * 2.0**-96,
    "zeros": lambda shape, tag: normal(shape, tag).index_fill(0, torch.tensor([0, shape[0] - 1]), 0.0) * -1,
    "ties": ties,
    "carried": carried,
}
kinds = pytest.mark.parametrize("kind", KINDS)


def pixels() -> Tensor:
    x = torch.from_numpy((draws(N * K, 4, "pixels") >> 56).astype("uint8")).view(N, K)
    x[0], x[1] = 0, 255
    return x


def same(made: Tensor, true: Any) -> bool:
    """The same numbers; zeros have either sign."""
    assert made.dtype == torch.float32
    return bool(made.tolist() == true)


def check_linear(kind: str) -> None:
    w, b = KINDS[kind]((M, K), "w"), normal((M,), "b")
    for x, levels in ((pixels(), LEVELS), (pixels(), 1), (KINDS[kind]((N, K), "x"), None), (normal((N, K), "x"), None)):
        true = by_fractions.logits(x.tolist(), w.tolist(), b.tolist(), levels)
        assert same(exact.linear(x, w, b, float(levels or 1)), true)


def check_weight_gradient(kind: str) -> None:
    g = KINDS[kind]((N, M), "g")
    for x, levels in ((pixels(), LEVELS), (KINDS[kind]((N, K), "x"), None), (normal((N, K), "x"), None)):
        true = by_fractions.weight_gradient(g.tolist(), x.tolist(), levels)
        assert same(exact.weight_gradient(g, x, float(levels or 1)), true)


def check_bias_gradient(kind: str) -> None:
    for shape in ((N, M), (1, M), (40, 1)):
        g = KINDS[kind](shape, "g")
        assert same(exact.bias_gradient(g), by_fractions.bias_gradient(g.tolist()))


def check_input_gradient(kind: str) -> None:
    w, g = KINDS[kind]((M, K), "w"), KINDS[kind]((N, M), "g") * 2.0**-30
    x = normal((N, K), "x").requires_grad_()
    [found] = torch.autograd.grad(exact.linear(x, w), x, g)
    assert same(found, by_fractions.input_gradient(g.tolist(), w.tolist()))


CHECKS = {"linear": check_linear, "weight gradient": check_weight_gradient, "bias gradient": check_bias_gradient,
          "input gradient": check_input_gradient}  # fmt: skip


@pytest.mark.usefixtures("way", "route")
@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
@kinds
def test_a_layer(check: Callable[[str], None], kind: str) -> None:
    check(kind)


def logits() -> Tensor:
    """Rows far apart and near, equal maxima, all equal, beyond the clamp."""
    z = normal((N, M), "z") * torch.tensor([1e-6, 0.1, 1.0, 30.0, 1e4, 1.0, 1.0])[:, None]
    z[5], z[6, :2] = 0.25, 4.0
    return z


LABELS = torch.arange(N) % M


def check_loss() -> None:
    for n in (N, 3, 1):
        z, y = logits()[-n:].requires_grad_(), LABELS[-n:]
        rows = exact.cross_entropy(z, y, "none")
        assert rows.tolist() == pytest.approx(by_fractions.losses(z.tolist(), y.tolist()), rel=1e-12, abs=1e-12)
        [found] = torch.autograd.grad(exact.cross_entropy(z, y), z)
        assert same(found, by_fractions.loss_gradient(z.tolist(), y.tolist()))


@pytest.mark.usefixtures("way")
def test_the_loss_side() -> None:
    check_loss()


def check_update(rates: tuple[float, ...]) -> None:
    start = normal((40,), "w") * torch.logspace(-38, 3, 40)
    w = nn.Parameter(start.clone())
    optimizer, v, mine = exact.SGD([w], *rates[:2], weight_decay=rates[2]), [0.0] * 40, start.tolist()
    for i in range(4):
        w.grad = normal((40,), f"g{i}") * torch.logspace(3, -38, 40)
        mine, v = by_fractions.updated(mine, w.grad.tolist(), v, *rates)
        optimizer.step()
        assert same(w.detach(), mine)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rates", RATES)
def test_the_update(rates: tuple[float, ...]) -> None:
    check_update(rates)


WIDTHS = (K, 6, 4, 3)


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (k, m) in enumerate(pairwise(WIDTHS)):
        layers += [exact.Linear(k, m, tag=f"layer{i}"), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def in_fractions(model: nn.Sequential) -> list[by_fractions.Layer]:
    w = [parameter.tolist() for parameter in model.parameters()]
    return [by_fractions.Layer(weight, bias) for weight, bias in zip(w[::2], w[1::2], strict=True)]


def require_same(model: nn.Sequential, layers: list[by_fractions.Layer]) -> None:
    for mine, true in zip(in_fractions(model), layers, strict=True):
        assert (mine.w, mine.b) == (true.w, true.b)


def check_steps(kind: str, rates: tuple[float, ...]) -> None:
    """Two epochs, the last minibatch short, compared after every step."""
    x, levels = {"pixels": (pixels(), LEVELS), "real": (normal((N, K), "x"), None)}[kind]
    model, y = network(), torch.arange(N) % WIDTHS[-1]
    layers, loss = in_fractions(model), exact.CrossEntropyLoss()
    optimizer = exact.SGD(model.parameters(), *rates[:2], weight_decay=rates[2])
    for rows in torch.arange(N).split(3) * 2:
        optimizer.zero_grad()
        mean = loss(model(x[rows]), y[rows])
        mean.backward()
        optimizer.step()
        true = by_fractions.step(layers, x[rows].tolist(), y[rows].tolist(), levels, *rates)
        assert mean.item() == pytest.approx(true, rel=1e-12)
        require_same(model, layers)


@pytest.mark.usefixtures("way", "route")
@pytest.mark.parametrize("kind", ["pixels", "real"])
@pytest.mark.parametrize("rates", RATES)
def test_whole_steps_of_modules(kind: str, rates: tuple[float, ...]) -> None:
    check_steps(kind, rates)


def check_fused(rates: tuple[float, ...]) -> None:
    from samebits.exact.integers.fused import Fused

    model, y = network(), torch.arange(N) % WIDTHS[-1]
    layers, steps, order = in_fractions(model), Fused(model, *rates), exact.permutation(N, 0, "order")
    for _ in range(2):
        steps.epoch(pixels(), y, order, 3)
        for rows in order.split(3):
            by_fractions.step(layers, pixels()[rows].tolist(), y[rows].tolist(), LEVELS, *rates)
        require_same(model, layers)


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("rates", RATES)
def test_fused_steps(rates: tuple[float, ...]) -> None:
    pytest.importorskip("numba")
    check_fused(rates)


# ------------------------------------------------------------------ each fault, planted, must be caught


right = {name: getattr(plain, name) for name in ("folded", "columns", "exponents")}


def steps_are_caught() -> None:
    check_steps("real", (0.3, 0.5, 0.0))


FAULTS: dict[str, tuple[Any, str, Any, Callable[[], None]]] = {
    "6 bits for the weights": (plain, "WEIGHT", 6, lambda: check_linear("normal")),
    "6 bits for the gradient below": (plain, "WEIGHT", 6, lambda: check_input_gradient("normal")),
    "7 bits for what is not negative": (plain, "UNSIGNED", 7, lambda: check_linear("not negative")),
    "6 bits for what is signed": (plain, "SIGNED", 6, lambda: check_linear("normal")),
    "6 bits for the weight gradient": (plain, "DELTA", 6, lambda: check_weight_gradient("normal")),
    "23 bits for the biases": (plain, "BIAS", 23, lambda: check_bias_gradient("normal")),
    "21 bits for the biases": (plain, "BIAS", 21, lambda: check_bias_gradient("normal")),
    "truncation": (Tensor, "round_", lambda x: x.trunc_(), lambda: check_linear("normal")),
    "halves away from zero, in the weights": (
        Tensor, "round_", lambda x: x.copy_((x + 0.5 * x.sign()).trunc()), lambda: check_linear("ties")),
    "halves away from zero, in the gradients": (
        Tensor, "round_", lambda x: x.copy_((x + 0.5 * x.sign()).trunc()), lambda: check_input_gradient("ties")),
    "no scale of the samples in the weight gradient": (
        plain, "columns", lambda g, x, *rest: right["columns"](g, x._replace(step=None), *rest),
        lambda: check_weight_gradient("of every size")),
    "no scale of the weights in the gradient below": (
        plain, "folded", lambda g, w, *rest: right["folded"](g, w._replace(step=torch.ones_like(w.step)), *rest),
        lambda: check_input_gradient("of every size")),
    "one grid for the batch": (
        plain, "largest", lambda x, dim: x.abs().amax(dim) * 0 + x.abs().amax(), lambda: check_linear("normal")),
    "a grid of twice the step": (plain, "exponents", lambda *rest: right["exponents"](*rest) + 1,
                                 lambda: check_weight_gradient("normal")),
    "no carry at the edge": (
        plain, "exponents", lambda top, bits: ((top.view(I32) >> 23) - 126 - bits).clip(min=-100),
        lambda: check_linear("carried")),
    "a carry too early": (
        plain, "exponents", lambda top, bits: ((top.view(I32) + (1 << (24 - bits)) >> 23) - 126 - bits).clip(min=-100),
        lambda: check_linear("carried")),
    "no finest grid": (plain, "LEAST", -126, lambda: check_weight_gradient("at the finest grid")),
    "whole steps with 6 bits": (plain, "DELTA", 6, steps_are_caught),
}  # fmt: skip


@pytest.mark.parametrize(("where", "name", "fault", "check"), FAULTS.values(), ids=list(FAULTS))
def test_a_planted_fault_is_caught(
    where: Any, name: str, fault: Any, check: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_caught(check, lambda: monkeypatch.setattr(where, name, fault))
