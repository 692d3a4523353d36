"""Batch and layer norm against Python's floats and fractions, bit for bit, and against torch's float64."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import normalization
from tests.exact import oracle
from tests.exact.planted import require_caught
from tests.exact.test_operations import Calls

F32, F64 = torch.float32, torch.float64
Rows = list[list[float]]
both = pytest.mark.parametrize("dtype", [F32, F64])


def inputs(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Channels of very different sizes, off zero."""
    x = exact.normal(shape, 1.0, 4, "x") + 0.5
    return (x * torch.logspace(-4, 4, shape[1], dtype=F64).view(-1, *(1 for _ in shape[2:]))).to(dtype)


def upstream(y: Tensor) -> Tensor:
    return exact.normal(y.shape, 1.0, 4, "g").to(y.dtype)


def started(layer: Any) -> Any:
    """With weights and biases that are not all alike."""
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(exact.normal(p.shape, 1.0, 4, f"p{p.numel()}"))
    return layer


def there_and_back(layer: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x)
    return [y.detach(), *torch.autograd.grad(y, [x, *layer.parameters()], upstream(y))]


# ---------------------------------------------------------------------------- Python's floats: the list of roundings


def total(row: list[float]) -> float:
    """The exact sum of a row on its grid of 53 - ceil(log2 n) bits."""
    return float(sum(oracle.gridded([row], 53 - max(len(row) - 1, 0).bit_length())[0]))


def by_hand(x: Rows, g: Rows, w: Rows, b: Rows, eps: float) -> tuple[Rows, Rows, Rows, Rows]:
    """(y, dx, g xhat, xhat) of rows, weights spelled out for each entry."""
    ys, dxs, gxs, xhats = [], [], [], []
    for row, up, weight, bias in zip(x, g, w, b, strict=True):
        n = float(len(row))
        mean = total(row) / n
        d = [v - mean for v in row]
        s = math.sqrt(total([v * v for v in d]) / n + eps)
        xhat = [v / s for v in d]
        ys.append([v * p + q for v, p, q in zip(xhat, weight, bias, strict=True)])
        h = [v * p for v, p in zip(up, weight, strict=True)]
        first, second = total(h) / n, total([p * q for p, q in zip(h, xhat, strict=True)]) / n
        dxs.append([((p - first) - q * second) / s for p, q in zip(h, xhat, strict=True)])
        gxs.append([p * q for p, q in zip(up, xhat, strict=True)])
        xhats.append(xhat)
    return ys, dxs, gxs, xhats


def rows_of(x: Tensor) -> Rows:
    rows: Rows = x.double().transpose(0, 1).flatten(1).tolist()
    return rows


def check_batch(dtype: torch.dtype = F64, shape: tuple[int, ...] = (5, 3, 2, 4)) -> None:
    """A batch norm is the oracle's, to the bit, running statistics among it."""
    layer, x = (
        started((exact.BatchNorm2d if len(shape) == 4 else exact.BatchNorm1d)(shape[1], dtype=dtype)),
        inputs(shape, dtype),
    )
    y, dx, dw, db = there_and_back(layer, x)
    n = x.numel() // shape[1]
    w, b = ([[v] * n for v in p.double().tolist()] for p in layer.parameters())
    G = rows_of(upstream(y))
    ys, dxs, gxs, _ = by_hand(rows_of(x), G, w, b, 1e-5)

    def like(rows: Rows) -> Tensor:
        return torch.tensor(rows, dtype=F64).view(shape[1], shape[0], *shape[2:]).transpose(0, 1).to(dtype)

    assert torch.equal(y, like(ys))
    assert torch.equal(dx, like(dxs))
    assert dw.tolist() == torch.tensor([total(row) for row in gxs], dtype=F64).to(dtype).tolist()
    assert db.tolist() == torch.tensor([total(row) for row in G], dtype=F64).to(dtype).tolist()
    means = [total(row) / n for row in rows_of(x)]
    squares = [total([(v - m) * (v - m) for v in row]) for row, m in zip(rows_of(x), means, strict=True)]
    for running, first, new in (
        (layer.running_mean, 0.0, means),
        (layer.running_var, 1.0, [v / (n - 1) for v in squares]),
    ):
        true = torch.tensor([first * (1.0 - 0.1) + v * 0.1 for v in new], dtype=F64).to(dtype)
        assert torch.equal(running, true)


@both
@pytest.mark.parametrize("shape", [(5, 3, 2, 4), (7, 3), (2, 40), (3, 2, 5), (70, 2, 1, 1)])
def test_every_bit_of_a_batch_norm_is_the_oracles(shape, dtype):
    check_batch(dtype, shape)


@both
@pytest.mark.parametrize("shape", [(4, 6), (3, 2, 5), (5, 1), (2, 2)])
def test_every_bit_of_a_layer_norm_is_the_oracles(shape, dtype):
    layer = started(exact.LayerNorm(shape[1:], dtype=dtype))
    x = inputs(shape, dtype)
    mine = there_and_back(layer, x)
    w, b = ([p.double().flatten().tolist()] * shape[0] for p in layer.parameters())
    G: Rows = upstream(mine[0]).double().flatten(1).tolist()
    ys, dxs, gxs, _ = by_hand(x.double().flatten(1).tolist(), G, w, b, 1e-5)
    sums = [[total(list(column)) for column in zip(*rows, strict=True)] for rows in (gxs, G)]
    for got, true in zip(mine, (ys, dxs, *sums), strict=True):
        assert torch.equal(got.flatten(), torch.tensor(true, dtype=F64).to(dtype).flatten())


# ------------------------------------------------------------------------------------------------- against torch


PAIRS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "2d": ("BatchNorm2d", (6, 3, 4, 5), {"num_features": 3}),
    "1d": ("BatchNorm1d", (6, 9), {"num_features": 9, "eps": 0.1}),
    "1d of sequences": ("BatchNorm1d", (6, 4, 7), {"num_features": 4, "momentum": 0.7}),
    "plain mean": ("BatchNorm2d", (6, 3, 4, 5), {"num_features": 3, "momentum": None}),
    "no weights": ("BatchNorm2d", (6, 3, 4, 5), {"num_features": 3, "affine": False}),
    "no bias": ("BatchNorm2d", (6, 3, 4, 5), {"num_features": 3, "bias": False}),
    "no memory": ("BatchNorm2d", (6, 3, 4, 5), {"num_features": 3, "track_running_stats": False}),
    "layer": ("LayerNorm", (6, 3, 4, 5), {"normalized_shape": (4, 5)}),
    "layer of one axis": ("LayerNorm", (6, 9), {"normalized_shape": 9, "eps": 1e-3}),
    "layer of all axes": ("LayerNorm", (6, 9), {"normalized_shape": [6, 9]}),
    "layer without a bias": ("LayerNorm", (6, 9), {"normalized_shape": 9, "bias": False}),
    "layer without weights": ("LayerNorm", (6, 9), {"normalized_shape": 9, "elementwise_affine": False}),
}


def check_torchs(name: str = "2d", dtype: torch.dtype = F64) -> None:
    """Within a rounding to float32, 2^-24 of the largest (running statistics are rounded at each of two steps); in
    float64 torch rounds many times itself: 2^-39.
    """
    kind, shape, how = PAIRS[name]
    mine = started(getattr(exact, kind)(**how, dtype=dtype))
    true = getattr(nn, kind)(**{k: v for k, v in how.items() if k != "bias" or kind == "LayerNorm"}).double()
    if how.get("bias") is False:  # of a batch norm in newer versions of torch alone
        true.register_parameter("bias", None)
    true.load_state_dict(mine.state_dict())
    for step in range(3):
        x = inputs(shape, dtype) + step
        if step == 2:
            mine.eval()
            true.eval().load_state_dict(mine.state_dict())  # statistics that were rounded to float32
        got, again = there_and_back(mine, x), x.double().requires_grad_()
        y = true(again)
        wanted = [y, *torch.autograd.grad(y, [again, *true.parameters()], upstream(got[0]).double())]
        wanted += [buffer.double() for buffer in true.buffers()]
        for i, (a, t) in enumerate(zip([*got, *mine.buffers()], wanted, strict=True)):
            roundings = 1 if i < len(got) else 2
            assert (a.double() - t).abs().max() <= t.abs().max() * (roundings * 2.0**-24 if dtype == F32 else 2.0**-39)


@both
@pytest.mark.parametrize("name", PAIRS)
def test_layers_are_torchs(name, dtype):
    check_torchs(name, dtype)


def test_states_are_torchs():
    for kind, args in (("BatchNorm1d", (3,)), ("BatchNorm2d", (3,)), ("LayerNorm", ((2, 3),))):
        mine, true = (getattr(library, kind)(*args).state_dict() for library in (exact, nn))
        assert list(mine) == list(true)
        assert all(v.dtype == true[k].dtype and torch.equal(v, true[k]) for k, v in mine.items())
    said = repr(nn.BatchNorm2d(3)).replace("bias=True, ", "")  # which newer versions of torch say
    assert repr(exact.BatchNorm2d(3)) == said


@pytest.mark.parametrize(("kind", "args", "shape"), [
    ("BatchNorm2d", (3,), (2, 3)), ("BatchNorm2d", (3,), (2, 4, 5, 5)), ("BatchNorm1d", (3,), (2, 3, 4, 5)),
    ("BatchNorm1d", (3,), (1, 3)), ("BatchNorm2d", (3,), (1, 3, 1, 1)), ("LayerNorm", (3,), (2, 4)),
    ("LayerNorm", ((3, 4),), (4,)),
])  # fmt: skip
def test_what_torch_refuses_is_refused(kind, args, shape):
    with pytest.raises((ValueError, RuntimeError)):
        getattr(nn, kind)(*args)(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"the input is \["):
        getattr(exact, kind)(*args)(torch.zeros(shape))


def test_and_what_cannot_be_computed():
    for wrong in (lambda: exact.BatchNorm1d(0), lambda: exact.LayerNorm(()), lambda: exact.LayerNorm((2, 0))):
        with pytest.raises(ValueError, match="at least"):
            wrong()
    for kind in (exact.BatchNorm1d, exact.LayerNorm):
        with pytest.raises(TypeError, match=r"dtype is torch.float16"):
            kind(3, dtype=torch.float16)
        with pytest.raises(TypeError, match=r"float64, but must be torch.float32, as"):
            kind(3)(torch.zeros(2, 3).double())
        with pytest.raises(exact.Refused, match="nothing is proven"):
            kind(3, device="meta")
    with pytest.raises(ValueError, match="more than one value"):
        exact.BatchNorm1d(3)(torch.zeros(0, 3))
    assert exact.BatchNorm1d(3).eval()(torch.zeros(0, 3)).shape == (0, 3)
    assert exact.LayerNorm(3)(torch.zeros(0, 3)).shape == (0, 3)
    y = exact.LayerNorm(3)(x := inputs((2, 3), F32).requires_grad_())
    with pytest.raises(exact.Refused, match="create_graph"):
        torch.autograd.grad(y.sum(), x, create_graph=True)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_named(bad):
    for layer in (exact.BatchNorm1d(6), exact.LayerNorm(6)):
        with pytest.raises(exact.NonFinite, match="the input"):
            layer(inputs((3, 6), F32).index_fill(1, torch.tensor([2]), bad))
        y = layer(inputs((3, 6), F32))
        with pytest.raises(exact.NonFinite, match="the gradient"):
            y.backward(torch.full_like(y, bad))


@both
def test_no_order_of_the_minibatch_matters(dtype):
    x, rows = inputs((9, 3, 4, 4), dtype), torch.tensor([4, 2, 0, 8, 1, 7, 3, 6, 5])
    one, other = started(exact.BatchNorm2d(3, dtype=dtype)), started(exact.BatchNorm2d(3, dtype=dtype))
    y, g = one(a := x.clone().requires_grad_()), upstream(x)
    z = other(b := x[rows].flip(2).clone().requires_grad_())
    assert torch.equal(z, y[rows].flip(2))
    first = torch.autograd.grad(y, [a, *one.parameters()], g)
    second = torch.autograd.grad(z, [b, *other.parameters()], g[rows].flip(2))
    assert torch.equal(second[0], first[0][rows].flip(2))
    assert all(torch.equal(p, q) for p, q in zip(first[1:], second[1:], strict=True))
    assert exact.digest(one.state_dict()) == exact.digest(other.state_dict())


# ------------------------------------------------------------------------------------------------- planted faults


def check_calls() -> None:
    """No root of torch's is called."""
    with Calls() as calls:
        exact.BatchNorm1d(3)(inputs((4, 3), F32))
    assert "sqrt" not in calls.names


def biased(n: float, device: torch.device) -> Tensor:
    """n in place of n - 1, in the one place where that is."""
    return exact.functional.divisor(n + 1 if n % 2 else n, device)  # n - 1 is odd here, n even


def test_torchs_root_is_caught(monkeypatch):
    require_caught(check_calls, partial(monkeypatch.setattr, normalization, "ieee_root", lambda x: x.sqrt()))


def test_a_biased_running_variance_is_caught(monkeypatch):
    require_caught(check_batch, partial(monkeypatch.setattr, normalization, "divisor", biased))
    monkeypatch.undo()
    require_caught(check_torchs, partial(monkeypatch.setattr, normalization, "divisor", biased))


def test_sums_of_torchs_own_are_caught(monkeypatch):
    def single(x: Tensor, grid: object) -> Tensor:
        return x.float()

    require_caught(check_batch, partial(monkeypatch.setattr, normalization, "snap", single))
