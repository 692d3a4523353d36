"""Training on 8-bit integers: every way to do it against an implementation of its own (tests/made/unfused.py)."""

import copy
import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact.functional import Reduction
from samebits.exact.integers import functional, passes, plain
from samebits.exact.random import draws
from tests.conftest import ROOT
from tests.made import unfused

Rates = tuple[float, ...]  # lr, momentum, weight decay


def pixels(n: int, k: int) -> Tensor:
    """Pixels, some columns and rows of them 0."""
    x = torch.from_numpy((draws(n * k, 3, "pixels") >> 56).astype("uint8")).view(n, k)
    x[:, ::7] = 0
    x[3 % n] = 0
    return x


def signed(n: int, k: int) -> Tensor:
    """Real inputs of either sign, of very different sizes; some rows without a negative one."""
    x = exact.normal((n, k), 1.0, 3, "x").float() * torch.logspace(-3, 3, n)[:, None]
    x[::3] = x[::3].abs()
    return x


INPUTS = {"pixels": pixels, "signed": signed, "int8": lambda n, k: (pixels(n, k).int() - 128).to(torch.int8)}
WIDTHS, N, BATCH = (50, 37, 21, 6), 70, 32  # the last minibatch has 6


def network(widths: tuple[int, ...] = WIDTHS, seed: int = 0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (k, m) in enumerate(pairwise(widths)):
        layers += [exact.Linear(k, m, seed=seed, tag=f"layer{i}"), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def labels(n: int, classes: int) -> Tensor:
    return torch.from_numpy((draws(n, 3, "labels") >> 32).astype("int64")).remainder(classes)


def apart(model: nn.Sequential) -> list[unfused.Layer]:
    """The network for the oracle."""
    return [unfused.Layer(layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
            for layer in model if isinstance(layer, exact.Linear) and layer.bias is not None]  # fmt: skip


def weights(layers: list[unfused.Layer] | nn.Sequential) -> list[np.ndarray]:
    layers = apart(layers) if isinstance(layers, nn.Sequential) else layers
    return [x + np.float32(0) for layer in layers for x in (layer.w, layer.b)]


def by_modules(model: nn.Sequential, x: Tensor, y: Tensor, batch: int, epochs: int, rates: Rates) -> list[float]:
    optimizer, loss, said = (
        exact.SGD(model.parameters(), *rates[:2], weight_decay=rates[2]),
        exact.CrossEntropyLoss(),
        [],
    )
    for rows in torch.arange(len(y)).split(batch) * epochs:
        optimizer.zero_grad()
        mean = loss(model(x[rows]), y[rows])
        mean.backward()
        optimizer.step()
        said.append(mean.item())
    return said


def by_oracle(layers: list[unfused.Layer], x: Tensor, y: Tensor, batch: int, epochs: int, rates: Rates) -> list[float]:
    return [unfused.step(layers, x[rows].numpy(), y[rows].numpy(), *rates)
            for rows in torch.arange(len(y)).split(batch) * epochs]  # fmt: skip


def check(kind: str = "pixels", rates: Rates = (0.3, 0.5, 0.01), widths: tuple[int, ...] = WIDTHS) -> None:
    """A training by modules is the oracle's, to the bit."""
    model, x, y = network(widths), INPUTS[kind](N, widths[0]), labels(N, widths[-1])
    layers = apart(model)
    said, true = by_modules(model, x, y, BATCH, 3, rates), by_oracle(layers, x, y, BATCH, 3, rates)
    assert said == pytest.approx(true, rel=1e-12)
    assert all(np.array_equal(a, b) for a, b in zip(weights(model), weights(layers), strict=True))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("rates", [(0.3, 0.0, 0.0), (0.3, 0.5, 0.0), (0.1, 0.0, 0.01), (0.01, 0.9, 0.1)])
def test_modules_are_the_oracle(kind, rates, route):
    check(kind, rates)


def fused(model: nn.Sequential, x: Tensor, y: Tensor, batch: int, epochs: int, rates: Rates) -> list[float]:
    pytest.importorskip("numba")
    from samebits.exact.integers.fused import Fused

    steps = Fused(model, *rates)
    return [m for _ in range(epochs) for m in steps.epoch(x, y, torch.arange(len(y)), batch)[0].tolist()]


@pytest.mark.parametrize("rates", [(0.3, 0.0, 0.0), (0.3, 0.5, 0.0), (0.1, 0.0, 0.01), (0.01, 0.9, 0.1)])
@pytest.mark.parametrize("widths", [WIDTHS, (50, 6), (50, 1, 2), (1100, 70, 3)])
def test_fused_steps_are_the_oracle(rates, widths, route):
    model, x, y = network(widths), pixels(N, widths[0]), labels(N, widths[-1])
    layers, twin = apart(model), copy.deepcopy(model)
    said = fused(model, x, y, BATCH, 3, rates)
    by_oracle(layers, x, y, BATCH, 3, rates)
    assert said == by_modules(twin, x, y, BATCH, 3, rates)
    assert all(np.array_equal(a, b) for a, b in zip(weights(model), weights(layers), strict=True))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("n", "k"), [(1500, 40), (40, 1500), (3, 70_000), (1, 1)])
def test_long_sums(n, k, route):
    """Beyond 1024 in blocks, and beyond 2^16."""
    model, x, y = network((k, 3)), pixels(n, k), labels(n, 3)
    layers = apart(model)
    by_modules(model, x, y, n, 1, (0.5, 0.0, 0.0))
    by_oracle(layers, x, y, n, 1, (0.5, 0.0, 0.0))
    assert all(np.array_equal(a, b) for a, b in zip(weights(model), weights(layers), strict=True))


@pytest.mark.parametrize("bits", [7, 8, 22])
def test_the_grid_is_the_finest_that_holds_its_top(bits):
    edges = [2.0**n * (2 - 2.0**-bits * m) for n in (-126, -90, -3, 0, 5, 126) for m in (0.25, 0.5, 0.999, 1, 1.001, 2)]
    edges += [2.0**n for n in range(-149, 128)] + [0.0, 1e-45, 3.4028235e38, 1.1754944e-38]
    tops = np.concatenate([np.array(edges, np.float32), np.abs(unfused.F32(1) * signed(60, 90).numpy().ravel())])
    for top, e in zip(tops.tolist(), plain.exponents(torch.from_numpy(tops), bits).tolist(), strict=True):
        assert e >= -100
        assert round(Fraction(top) / Fraction(2) ** e) < 2**bits
        assert e == -100 or round(Fraction(top) / Fraction(2) ** (e - 1)) >= 2**bits


@pytest.mark.usefixtures("way")
def test_seeds_side_by_side_are_each_alone(route):
    seeds = (0, 1, 2)
    x, y = torch.stack([pixels(40, 50).roll(s, 0) for s in seeds]), torch.stack([labels(40, 6).roll(s) for s in seeds])
    w = torch.stack([exact.uniform((6, 50), s, "w", 50).float() * 10**s for s in seeds]).requires_grad_()
    b = torch.stack([exact.uniform((6,), s, "b", 50).float() for s in seeds]).requires_grad_()
    losses = exact.cross_entropy(exact.linear(x, w, b), y)
    together = (losses, *torch.autograd.grad(losses.sum(), (w, b)))
    for i in range(3):
        w_i, b_i = (t[i].detach().requires_grad_() for t in (w, b))
        loss = exact.cross_entropy(exact.linear(x[i], w_i, b_i), y[i])
        for alone, all_ in zip((loss, *torch.autograd.grad(loss, (w_i, b_i))), together, strict=True):
            assert torch.equal(alone, all_[i])


@pytest.mark.usefixtures("way")
def test_no_order_matters(route):
    x, y, layer = pixels(64, 50), labels(64, 6), exact.Linear(50, 6)
    weight, bias = layer.weight.detach(), torch.linspace(-1, 1, 6)
    rows, places = torch.randperm(64), torch.randperm(50)

    def gradients(x: Tensor, y: Tensor, w: Tensor) -> list[Tensor]:
        w, b = w.clone().requires_grad_(), bias.clone().requires_grad_()
        return list(torch.autograd.grad(exact.cross_entropy(exact.linear(x, w, b), y), (w, b)))

    once = gradients(x, y, weight)
    other = gradients(x[rows][:, places], y[rows], weight[:, places])
    assert torch.equal(once[0][:, places], other[0])
    assert torch.equal(once[1], other[1])


@pytest.mark.usefixtures("way")
def test_a_gradient_from_outside_multiplies_once():
    z, y = signed(9, 4).requires_grad_(), labels(9, 4)
    cases: list[tuple[Reduction, Tensor]] = [
        ("mean", torch.tensor(0.3)),
        ("sum", torch.tensor(0.3)),
        ("none", torch.linspace(-1, 1, 9)),
    ]
    for reduction, each in cases:
        loss = exact.cross_entropy(z, y, reduction)
        [one] = torch.autograd.grad(loss, z, torch.ones_like(loss), retain_graph=True)
        [other] = torch.autograd.grad(loss, z, each.double())
        assert one.dtype == torch.float32
        assert torch.equal(other, one * (each[:, None] if reduction == "none" else each))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_named(bad):
    x, layer = signed(5, 4), exact.Linear(4, 3, tag="hidden")
    with pytest.raises(exact.NonFinite, match=r"the input \(layer hidden\)"):
        layer(x.index_fill(1, torch.tensor([2]), bad))
    out = layer(x)
    with pytest.raises(exact.NonFinite, match="the gradient"):
        out.backward(torch.full_like(out, bad))
    layer.weight.data[1, 2] = bad
    with pytest.raises(exact.NonFinite, match=r"the weight \(layer hidden\)"):
        layer(x)
    w = torch.zeros(3, 2, 4)
    w[1, 0, 0] = bad
    with pytest.raises(exact.NonFinite, match=r"the weight \(entry 1\)"):
        exact.linear(torch.zeros(3, 5, 4), w)


@pytest.mark.parametrize(("place", "said"), [
    (("weight", 1), "the weight (layer layer1"), (("bias", 0), "the output (layer layer0"),
    (("bias", 2), "the output (layer layer2"),
])  # fmt: skip
def test_fused_steps_name_it_too(place, said):
    pytest.importorskip("numba")
    from samebits.exact.integers.fused import Fused

    model = network()
    layer = [each for each in model if isinstance(each, exact.Linear)][place[1]]
    steps = None if place[0] == "weight" else Fused(model, 0.1)
    getattr(layer, place[0]).data.view(-1)[1] = torch.nan
    with pytest.raises(exact.NonFinite) as caught:
        (steps or Fused(model, 0.1)).epoch(pixels(N, 50), labels(N, 6), torch.arange(N), BATCH)
    assert f"NaN or infinity in {said}" in str(caught.value)
    assert place[0] == "weight" or caught.value.place["step"] == 1


def test_types_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match=r"linear: the input is torch\.float64, but the weight torch\.float32"):
        exact.Linear(4, 3)(torch.zeros(2, 4, dtype=torch.float64))
    with pytest.raises(TypeError, match=r"dtype is torch\.float16, but it must be torch\.float32 or torch\.float64"):
        exact.Linear(4, 3, dtype=torch.float16)
    weight = exact.Linear(4, 3).weight
    out = exact.linear(signed(2, 4), weight)
    with pytest.raises(exact.Refused, match="create_graph"):
        torch.autograd.grad(out.sum(), weight, create_graph=True)


MNIST = Path(os.environ.get("DATASET_MIRROR", ""), "mnist")


@pytest.mark.skipif(not os.environ.get("DATASET_MIRROR") or not MNIST.is_dir(), reason="DATASET_MIRROR holds no mnist")
@pytest.mark.parametrize(("widths", "batch", "digest"), [
    ((784, 10), 256, "a22f597c4dfa26e3"), ((784, 520, 320, 240, 120, 10), 64, "5a6f7ad628a357a0"),
])  # fmt: skip
def test_the_published_digests(widths, batch, digest):
    raw = [
        gzip.decompress((MNIST / f"train-{name}.gz").read_bytes())
        for name in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    x = torch.frombuffer(bytearray(raw[0][16:]), dtype=torch.uint8).view(-1, 784)
    y = torch.frombuffer(bytearray(raw[1][8:]), dtype=torch.uint8).long()
    rows = exact.permutation(len(y), 0, "epoch1.order")[: 200 * batch]
    model = network(widths)
    fused(model, x[rows], y[rows], batch, 1, (0.01, 0.5, 0.0))
    parts = weights(model)
    assert hashlib.sha256(b"".join(w.tobytes() for w in parts[::2] + parts[1::2])).hexdigest()[:16] == digest


TRAIN = """
import sys
{before}
import torch
from samebits import exact
from tests.exact.test_integers import labels, network, pixels, by_modules
print(exact.prepare())
model = network()
by_modules(model, pixels(70, 50), labels(70, 6), 32, 2, (0.3, 0.5, 0.0))
print(exact.digest(model.state_dict()))
"""


def process(before: str = "", root: Path = ROOT, **environment: str) -> list[str]:
    """What another process says of the kernels, and the digest that it ends in; samebits is that of `root`."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (root, ROOT))), **environment}
    line = [sys.executable, "-c", TRAIN.format(before=before)]
    return subprocess.run(line, env=env, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def usual() -> str:
    """The digest, by kernels."""
    pytest.importorskip("numba")
    note, digest = process()
    assert note == "None"
    return digest


@pytest.mark.parametrize(("before", "said"), [
    ("sys.modules['numba'] = None", "numba cannot be used here ("),
    ("import numba; del numba.njit", "numba does not work here (AttributeError"),
])  # fmt: skip
def test_without_numba_it_is_said_and_the_bits_are_the_same(before, said, usual):
    note, digest = process(before)
    assert note.startswith(said)
    assert digest == usual


def test_where_no_cache_can_be_written_kernels_work_all_the_same(tmp_path, usual):
    """A file lies where each folder for it would be: root may write to any folder."""
    nowhere = str(tmp_path / "file/cache")
    (tmp_path / "file").write_text("")
    assert process(NUMBA_CACHE_DIR=nowhere) == ["None", usual]
    shutil.copytree(ROOT / "samebits", tmp_path / "samebits", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "samebits/exact/integers/__pycache__").write_text("")
    elsewhere = {"NUMBA_CACHE_DIR": "", "HOME": nowhere, "XDG_CACHE_HOME": nowhere}
    assert process(root=tmp_path, **elsewhere) == ["None", usual]


def test_where_the_cache_is_damaged_kernels_are_compiled_again(tmp_path, usual):
    assert process(NUMBA_CACHE_DIR=str(tmp_path / "whole")) == ["None", usual]
    for kind in ("nbi", "nbc"):
        shutil.copytree(tmp_path / "whole", tmp_path / kind)
        for file in (tmp_path / kind).rglob(f"*.{kind}"):
            file.write_bytes(file.read_bytes()[:50])
        assert process(NUMBA_CACHE_DIR=str(tmp_path / kind)) == ["None", usual]


@pytest.mark.parametrize("within", ["torch.no_grad()", "torch.inference_mode()", "torch.device('meta')"])
def test_kernels_may_be_prepared_within_anything(within, usual):
    before = f"import torch; from samebits import exact\nwith {within}: exact.prepare()"
    assert process(before) == ["None", usual]


GONE = """
import shutil, torch
from samebits import exact
from samebits.exact.integers import products
exact.prepare()
shutil.rmtree({cache!r})
open({cache!r}, "w").close()
route, products._route = products._route, lambda device: products.ROUTES["cpu"][2]
layer = exact.Linear(50, 6)
layer(torch.ones(3, 50)).sum().backward()
products._route = route
"""


def test_a_cache_that_goes_in_the_middle_of_a_training_does_not_end_it(tmp_path, usual):
    """Kernels are compiled for a type when it first comes up, here that of a route which the trial did not take."""
    cache = str(tmp_path / "cache")
    assert process(GONE.format(cache=cache), NUMBA_CACHE_DIR=cache) == ["None", usual]


def test_ctrl_c_while_kernels_are_compiled_is_not_lost(tmp_path):
    """LLVM calls back into Python, and what is raised there is printed and forgotten."""
    pytest.importorskip("numba")
    script = "from samebits.exact.integers import fast\nfrom samebits import exact\nprint(flush=True)\nexact.prepare()"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    for wait in (0.5, 1.5, 2.5):  # compiling takes some ten seconds
        process = subprocess.Popen(
            [sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        assert process.returncode != 0
        assert said.strip().endswith("KeyboardInterrupt")
        assert "Exception ignored" not in said


def test_kernels_that_differ_are_not_used(monkeypatch):
    pytest.importorskip("numba")
    from samebits.exact.integers import fast, prepare

    right = fast.bias_gradient
    monkeypatch.setattr(fast, "bias_gradient", lambda g: right(g) * (1 + 2.0**-20))
    assert prepare._numba.__wrapped__() == "numba's kernels differ from torch's operations here"
    assert passes._compiled is None


def coarse(x: Tensor, dtype: torch.dtype, what: str) -> plain.Rows:
    """Weights of 6 bits."""
    made = right_rows(x, torch.float32, what)
    q = (made.q / 2).round()
    return plain.Rows(q.to(dtype), made.step * 2, plain.total(q, -1))


right_rows, right_steps, right_folded, right_columns = plain.rows, plain.steps, plain.folded, plain.columns
FAULTS = {
    "6 bits for the weights": ("rows", coarse),
    "9 bits for the inputs": ("UNSIGNED", 9),
    "6 bits for the gradients": ("DELTA", 6),
    "21 bits for the biases": ("BIAS", 21),
    "23 bits for the biases": ("BIAS", 23),
    "no scale of the weights in the gradient below": (
        "folded", lambda g, w, dtype, what: right_folded(g, w._replace(step=torch.ones_like(w.step)), dtype, what)),
    "no scale of the samples in the weight gradient": (
        "columns", lambda g, x, dtype, what: right_columns(g, x._replace(step=None), dtype, what)),
    "a grid for the batch in place of each row's": (
        "largest", lambda x, dim: x.abs().amax(dim) * 0 + x.abs().amax()),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault, monkeypatch):
    check(rates=(0.3, 0.5, 0.0))
    monkeypatch.setattr(plain, *FAULTS[fault])
    with pytest.raises((AssertionError, OverflowError)):
        check(rates=(0.3, 0.5, 0.0))


@pytest.mark.parametrize("rounding", [torch.trunc, torch.floor, lambda x: (x + 0.5 * x.sign()).trunc()])
def test_another_rounding_is_caught(rounding, monkeypatch):
    monkeypatch.setattr(Tensor, "round_", lambda x: x.copy_(rounding(x)))
    with pytest.raises(AssertionError):
        check(rates=(0.3, 0.5, 0.0))


def test_the_weight_gradient_without_a_scale_of_its_own_would_be_seen_in_one_call():
    g, x = signed(8, 3), signed(8, 5)
    found = functional.weight_gradient(g, x, 255.0)
    assert torch.allclose(found, g.T @ x, rtol=0, atol=0.02 * (g.T @ x).abs().max().item())


@pytest.mark.parametrize(("change", "said"), [
    ({"labels": torch.full((N,), 6)}, "a label is 6 to 6, but must be 0 to 5"),
    ({"labels": -torch.ones(N, dtype=torch.int64)}, "a label is -1 to -1"),
    ({"order": torch.tensor([0, N])}, f"a place in the order is 0 to {N}, but must be 0 to {N - 1}"),
    ({"images": torch.zeros(N, 50)}, r"images, labels and order are torch\.float32"),
    ({"images": torch.zeros(N, 49, dtype=torch.uint8)}, rf"images are \[{N}, 49\], but must be \[{N}, 50\]"),
])  # fmt: skip
def test_what_kernels_would_look_up_out_of_bounds_is_refused(change, said):
    pytest.importorskip("numba")
    from samebits.exact.integers.fused import Fused

    given = {"images": pixels(N, 50), "labels": labels(N, 6), "order": torch.arange(N), **change}
    with pytest.raises((TypeError, ValueError), match=said):
        Fused(network(), 0.1).epoch(given["images"], given["labels"], given["order"], BATCH)


@pytest.mark.usefixtures("way")
def test_labels_out_of_range_and_too_many_classes_are_refused_in_the_loss():
    with pytest.raises((ValueError, RuntimeError), match=r"label is 2 to 9|out of bounds"):
        exact.cross_entropy(signed(2, 4).requires_grad_(), torch.tensor([2, 9]))
    with pytest.raises(exact.Refused, match="8193 classes"):
        exact.cross_entropy(torch.zeros(2, 8193, requires_grad=True), torch.tensor([0, 1]))


def test_fused_steps_take_weights_as_they_are():
    """Also when they were changed from outside between two epochs."""
    pytest.importorskip("numba")
    from samebits.exact.integers.fused import Fused

    model, x, y = network(), pixels(N, 50), labels(N, 6)
    steps = Fused(model, 0.1)
    steps.epoch(x, y, torch.arange(N), BATCH)
    with torch.no_grad():
        for w in model.parameters():
            w.mul_(0.5)
    twin = copy.deepcopy(model)
    steps.epoch(x, y, torch.arange(N), BATCH)
    by_modules(twin, x, y, BATCH, 1, (0.1, 0.0, 0.0))
    assert all(np.array_equal(a, b) for a, b in zip(weights(model), weights(twin), strict=True))


def test_fused_steps_refuse_what_they_cannot_do():
    pytest.importorskip("numba")
    from samebits.exact.integers.fused import Fused

    for model, said in (
        (nn.Sequential(nn.ReLU()), "fused steps are of Linear"), (nn.Sequential(), "end in a Linear layer"),
        (nn.Sequential(exact.Linear(3, 2), nn.ReLU()), "fused steps are of Linear"),
        (nn.Sequential(exact.Linear(3, 2, bias=False)), "with a bias"),
        (nn.Sequential(exact.Linear(3, 2, dtype=torch.float64)), "float32 layers on a CPU"),
        (nn.Sequential(nn.Linear(3, 2)), "fused steps are of Linear"),
        (nn.Sequential(exact.Linear(70_000, 2, tag="wide")), "wide: fused steps sum at most 65536"),
        (nn.Sequential(exact.Linear(3, 9000)), "at most 8192 classes"),
    ):  # fmt: skip
        with pytest.raises(exact.Refused, match=said):
            Fused(model, 0.1)
