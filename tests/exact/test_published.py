"""What docs/exact.md publishes for another implementation to be checked by; and that a fault in any rounding shows."""

import hashlib
import math
import re
import sys
import types
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import elementary
from samebits.exact.random import draws
from tests.conftest import ROOT
from tests.made import unfused

WIDTHS, SAMPLES, BATCH = (40, 30, 20, 10), 150, 60
RATES = (0.001, 0.9, 0.3)  # lr, momentum, weight decay
ORDERS = ("epoch1.order", "epoch2.order")
DIGEST, LOSSES, HITS = "36ee38b5e9bd85e9", ["0x1.3df991014ae5cp+3", "0x1.a1d2a4408a2cap+2"], [13, 21]
NUMERATORS, LOGARITHMS = "1ae4e13b7058d822", "a50e8bcc3c0edb25"


def data() -> tuple[Any, Any]:
    """Real inputs: signed rows, rows without an entry below 0, rows of zeros."""
    x = ((draws(SAMPLES * WIDTHS[0], 0, "inputs") >> np.uint64(56)).astype(np.int64) - 128).astype(np.float32)
    x = x.reshape(SAMPLES, -1)
    x[::3], x[::10] = np.abs(x[::3]), 0.0
    return x, (draws(SAMPLES, 0, "labels") % np.uint64(10)).astype(np.int64)


def digest(weights: list[Any]) -> str:
    return hashlib.sha256(b"".join((w + 0.0).astype("<f4").tobytes() for w in weights)).hexdigest()[:16]


def unfused_training(implementation: Any = unfused, orders: tuple[str, ...] = ORDERS) -> str:
    x, y = data()
    layers = [
        implementation.Layer(exact.uniform((m, k), 0, f"layer{i}.weight", k).float().numpy(), np.zeros(m, np.float32))
        for i, (k, m) in enumerate(pairwise(WIDTHS))
    ]
    for order in orders:
        for rows in exact.permutation(SAMPLES, 0, order).split(BATCH):
            implementation.step(layers, x[rows.numpy()], y[rows.numpy()], *RATES)
    return digest([layer.w for layer in layers] + [layer.b for layer in layers])


def test_an_implementation_from_the_list_ends_there() -> None:
    assert unfused_training() == DIGEST


@pytest.mark.usefixtures("way", "route")
def test_modules_end_there_with_its_history() -> None:
    x, y = map(torch.from_numpy, data())
    model, loss = network(), exact.CrossEntropyLoss()
    optimizer, means, hits = exact.SGD(model.parameters(), *RATES[:2], weight_decay=RATES[2]), [], []
    for order in ORDERS:
        sums, right = [], 0
        for rows in exact.permutation(SAMPLES, 0, order).split(BATCH):
            optimizer.zero_grad()
            z = model(x[rows])
            mean: Tensor = loss(z, y[rows])
            mean.backward()
            optimizer.step()
            sums.append(len(rows) * mean.item())
            right += int((z.argmax(1) == y[rows]).sum())
        means.append((math.fsum(sums) / SAMPLES).hex())
        hits.append(right)
    parts = [w.detach().numpy() for w in model.parameters()]
    assert (digest(parts[::2] + parts[1::2]), means, hits) == (DIGEST, LOSSES, HITS)


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (k, m) in enumerate(pairwise(WIDTHS)):
        layer = exact.Linear(k, m, tag=f"layer{i}")
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        layers += [layer, exact.ReLU()]
    return nn.Sequential(*layers[:-1])


def numerators() -> str:
    d = torch.from_numpy((draws(1_000_000, 0, "d") >> np.uint64(11)).astype(np.float64) * -(2.0**-48))
    return hashlib.sha256(elementary.softmax_numerators(d).numpy().astype("<i8").tobytes()).hexdigest()[:16]


def logarithms() -> str:
    wholes = (draws(1_000_000, 0, "s") >> np.uint64(11)).astype(np.int64) % (10 * 2**40) + 2**40
    x = torch.from_numpy(wholes.astype(np.float64) * 2.0**-40)
    return hashlib.sha256(elementary.log(x).numpy().astype("<f8").tobytes()).hexdigest()[:16]


def test_functions_have_the_published_bits() -> None:
    assert (numerators(), logarithms()) == (NUMERATORS, LOGARITHMS)


def test_the_page_says_so() -> None:
    page = (ROOT / "docs/exact.md").read_text()
    for value in (DIGEST, NUMERATORS, LOGARITHMS, *LOSSES, *(c.hex() for c in (*elementary.LOG, elementary.SQRT_HALF))):
        assert f"{value}" in page
    assert f"its hits {HITS[0]} and {HITS[1]}" in page
    for c in (*elementary.EXP2, elementary.LOG2E, elementary.LN2_HIGH, elementary.LN2_LOW):
        written = [float.fromhex(number) for number in re.findall(r"0x1\.[0-9a-f]+p[+-]\d+", page)]
        assert c in written


FAULTS = {
    "a gradient rounded before it is divided": ("(p / n).astype(F32)", "(p.astype(F32) / F32(n))"),
    "a unit at 0 counts as on": ("z > 0, g", "z >= 0, g"),
    "8 bits for signed inputs": ("grid(tops, 7), grid(tops, 8)", "grid(tops, 8), grid(tops, 8)"),
    "7 bits for others": ("grid(tops, 7), grid(tops, 8)", "grid(tops, 7), grid(tops, 7)"),
    "6 bits for weights": ("grid(np.abs(layer.w).max(1), 7)", "grid(np.abs(layer.w).max(1), 6)"),
    "21 bits for biases": ("grid(np.abs(g).max(0), 22)", "grid(np.abs(g).max(0), 21)"),
    "6 bits for the weight gradient": ("grid(np.abs(h).max(0), 7)", "grid(np.abs(h).max(0), 6)"),
    "6 bits for the gradient below": ("grid(np.abs(h).max(1), 7)", "grid(np.abs(h).max(1), 6)"),
    "truncation": ("return np.rint(np.ldexp(x", "return np.trunc(np.ldexp(x"),
    "halves up": ("return np.rint(np.ldexp(x.astype(F64), -e))", "return np.floor(np.ldexp(x.astype(F64), -e) + 0.5)"),
    "a top that does not round": ("np.rint(np.ldexp(top", "(np.ldexp(top"),
    "a top that may fill its bits": (">= 2**p", "> 2**p"),
    "one grid for the minibatch's inputs": ("np.abs(x).max(1), (x < 0)", "np.abs(x).max() + 0 * x[:, 0], (x < 0)"),
    "biases summed in float32": ("whole(g, eb).sum(0).astype(F32) * power(eb)", "g.sum(0)"),
    "no scale of the samples": ("h = g * power(ex)[:, None]", "h = g"),
    "no scale of the units": ("h = g * power(ew)\n", "h = g\n"),
    "decay twice": ("g = g + w * F32(decay)", "g = g + w * F32(decay) + w * F32(decay)"),
    "the first velocity halved": ("g if v is None", "g * F32(0.5) if v is None"),
    "decay in float64": ("w * F32(decay)", "(w * F64(decay)).astype(F32)"),
    "lr in float64": ("g * F32(lr)", "(g * F64(lr)).astype(F32)"),
    "momentum in float64": ("v * F32(momentum)", "(v * F64(momentum)).astype(F32)"),
}


@pytest.mark.parametrize(("right", "wrong"), FAULTS.values(), ids=list(FAULTS))
def test_a_fault_in_a_rounding_shows(right: str, wrong: str) -> None:
    source = (ROOT / "tests/made/unfused.py").read_text()
    assert source.count(right) == 1
    faulty = types.ModuleType("faulty")
    sys.modules["faulty"] = faulty  # where dataclasses look
    exec(compile(source.replace(right, wrong), "faulty", "exec"), faulty.__dict__)
    assert unfused_training(faulty) != DIGEST


def test_the_order_of_another_epoch_shows() -> None:
    assert unfused_training(orders=(ORDERS[0], ORDERS[0])) != DIGEST


@pytest.mark.parametrize(("name", "i"), [("EXP2", 0), ("EXP2", 1), ("LOG", 0), ("LOG", 1)])
def test_a_coefficient_one_ulp_away_shows(name: str, i: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last bit of higher ones moves none of a million results; test_elementary.py holds them as they are."""
    table = getattr(elementary, name)
    monkeypatch.setattr(elementary, name, (*table[:i], float(np.nextafter(table[i], 9.0)), *table[i + 1 :]))
    assert (numerators(), logarithms()) != (NUMERATORS, LOGARITHMS)
