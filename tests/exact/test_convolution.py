"""Conv2d against an implementation of its own (tests/made/by_windows.py), against torch's float64, and its refusals."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input, conv2d_weight

from samebits import exact
from samebits.exact.integers import convolution as on_integers
from samebits.exact.random import draws
from tests.exact.planted import require_caught
from tests.made import by_windows
from tests.made.by_windows import How

F32, F64 = torch.float32, torch.float64
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], How]] = {  # input, weight
    "plain": ((3, 2, 6, 7), (4, 2, 3, 3), How()),
    "padded": ((3, 2, 5, 5), (4, 2, 3, 3), How(padding=(1, 1))),
    "strided": ((2, 3, 9, 8), (2, 3, 3, 2), How(stride=(2, 3), padding=(1, 0))),
    "grouped": ((3, 6, 5, 4), (4, 3, 2, 2), How(padding=(0, 1), groups=2)),
    "by channel": ((2, 3, 6, 6), (6, 1, 3, 3), How(padding=(2, 2), dilation=(2, 1), groups=3)),
    "one entry": ((2, 1, 1, 1), (1, 1, 1, 1), How()),
    "windows of 1200 entries": ((1, 48, 6, 6), (2, 48, 5, 5), How(padding=(1, 1))),
    "sums of 1300 positions": ((2, 1, 28, 28), (2, 1, 3, 3), How()),
    "sums of 1040 outputs": ((1, 1, 3, 3), (130, 1, 3, 3), How(padding=(1, 1))),
}


def pixels(shape: tuple[int, ...]) -> Tensor:
    x = torch.from_numpy((draws(int(np.prod(shape)), 5, "pixels") >> 56).astype("uint8")).view(shape)
    x[0, 0, 0] = 0
    return x


def signed(shape: tuple[int, ...]) -> Tensor:
    """Samples of very different sizes, the first and each third after it without an entry below 0."""
    x = exact.normal(shape, 1.0, 5, "x").float() * torch.logspace(-3, 3, shape[0])[:, None, None, None]
    x[::3] = x[::3].abs()
    return x


INPUTS = {"pixels": pixels, "signed": signed, "int8": lambda shape: (pixels(shape).int() - 128).to(torch.int8)}


def layer(w: tuple[int, ...], how: How, dtype: torch.dtype = F32) -> exact.Conv2d:
    made = exact.Conv2d(w[1] * how.groups, w[0], (w[2], w[3]), *how[:3], how.groups, seed=2, tag="c", dtype=dtype)
    with torch.no_grad():  # units of different sizes
        made.weight.mul_(torch.logspace(-2, 2, w[0], dtype=dtype)[:, None, None, None])
    return made


def upstream(z: Tensor) -> Tensor:
    return exact.normal(z.shape, 1.0, 5, "g").to(z.dtype)


def there_and_back(conv: nn.Module, x: Tensor) -> list[Tensor]:
    """z, the gradient for x (of integers there is none), for the weight, for the bias."""
    x = x.clone().requires_grad_(x.is_floating_point())
    z = conv(x)
    g = upstream(z)
    return [z.detach(), *torch.autograd.grad(z, [p for p in (x, *conv.parameters()) if p.requires_grad], g)]


def check(name: str = "padded", kind: str = "pixels") -> None:
    """What a layer computes is the oracle's, to the bit."""
    shape, w, how = SHAPES[name]
    conv, x = layer(w, how), INPUTS[kind](shape)
    assert conv.bias is not None
    mine = there_and_back(conv, x)
    b, g = conv.bias.detach().numpy(), upstream(mine[0]).numpy()
    true = by_windows.conv2d(x.numpy(), conv.weight.detach().numpy(), b, g, how)
    z, dx, dw, db = true
    for a, t in zip(mine, (z, dx, dw, db) if x.is_floating_point() else (z, dw, db), strict=True):
        assert np.array_equal(a.numpy() + np.float32(0), t + np.float32(0)), name


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_bit_is_the_oracles(name, kind, route):
    check(name, kind)


# ------------------------------------------------------------------------------------ against torch, within the grids


def step(x: Tensor, bits: int) -> Tensor:
    """2^e of the grid for each row of x [n, ...], as docs/exact.md has it."""
    top = x.flatten(1).abs().amax(1).double()
    e = torch.full_like(top, -100.0)
    while bool((coarse := torch.round(top / 2.0**e) >= 2.0**bits).any()):
        e = e + coarse
    steps: Tensor = 2.0**e
    return steps.view(-1, *(1 for _ in x.shape[1:]))


def bound(f: Any, a: Tensor, b: Tensor, half_a: Tensor, half_b: Tensor) -> Tensor:
    """How far f, linear in a and in b, can move where entries move by no more than the halves."""
    a, b = a.abs(), b.abs()
    moved: Tensor = f(a + half_a, b + half_b) - f(a, b)
    return moved


@pytest.mark.parametrize("name", SHAPES)
def test_float32_is_within_the_grids_of_torchs_float64(name):
    """Each operand is off by half a step of its grid; beside that one float32 rounding for each operation, 2^-22."""
    shape, w, how = SHAPES[name]
    conv, x = layer(w, how), signed(shape)
    exactly = nn.Conv2d(w[1] * how.groups, w[0], (w[2], w[3]), *how[:3], how.groups).double()
    exactly.load_state_dict(conv.state_dict())
    mine, true = there_and_back(conv, x), there_and_back(exactly, x.double())
    X, W, G = x.double(), conv.weight.detach().double(), upstream(mine[0]).double()
    sizes = torch.where((x < 0).flatten(1).any(1).view(-1, 1, 1, 1), step(x, 7), step(x, 8))
    half_x, half_w = sizes / 2, step(W, 7) / 2
    scaled = (G * sizes).transpose(0, 1)
    half_g = (step(scaled, 14) / 2).transpose(0, 1) / sizes  # of g, whose h = g 2^e_x is what is rounded
    scaled = G * step(W, 7).view(1, -1, 1, 1)
    half_h = step(scaled, 7) / 2 / step(W, 7).view(1, -1, 1, 1)

    def forward(a: Tensor, b: Tensor) -> Tensor:
        return nn.functional.conv2d(a, b, None, *how)

    def weight(g: Tensor, a: Tensor) -> Any:
        return conv2d_weight(a, list(w), g, *how)

    def below(g: Tensor, b: Tensor) -> Any:
        return conv2d_input(list(shape), b, g, *how)

    bounds = [
        bound(forward, X, W, half_x, half_w),
        bound(below, G, W, half_h, half_w),
        bound(weight, G, X, half_g, half_x),
    ]
    for a, t, most in zip(mine, true, [*bounds, 2.0**-22 * G.abs().sum((0, 2, 3))], strict=True):
        assert bool(((a.double() - t).abs() <= most * (1 + 1e-9) + 2.0**-22 * t.abs() + 1e-30).all()), name


@pytest.mark.parametrize("kind", ["pixels", "signed"])
@pytest.mark.parametrize("name", SHAPES)
def test_float64_is_near_torchs(name, kind):
    """16 bits at least are left to each operand: within k 2^-15 of the largest product of its sum."""
    shape, w, how = SHAPES[name]
    conv, x = layer(w, how, F64), INPUTS[kind](shape)
    exactly = nn.Conv2d(w[1] * how.groups, w[0], (w[2], w[3]), *how[:3], how.groups).double()
    exactly.load_state_dict(conv.state_dict())
    real = x.double() if kind == "signed" else x.double() / 255
    mine = there_and_back(conv, x.double() if kind == "signed" else x)
    true = there_and_back(exactly, real)
    G, W = upstream(mine[0]), conv.weight.detach()
    tops = real.abs().amax((1, 2, 3), keepdim=True), W.abs().max(), G.abs().amax((1, 2, 3), keepdim=True)
    most = [
        tops[0] * tops[1] * W[0].numel(),
        tops[2] * tops[1] * W[:, 0].numel() * len(W),
        tops[0].max() * tops[2].max(),
    ]
    most[2] = most[2] * G[:, 0].numel()
    if kind != "signed":
        del most[1], true[1]
    for a, t, each in zip(mine, true, [*most, G.abs().sum((0, 2, 3)).max()], strict=True):
        assert bool(((a - t).abs() <= each * 2.0**-15).all()), name


def test_a_float64_gradient_does_not_depend_on_the_samples_beside_it():
    conv, x = layer((4, 2, 3, 3), How(padding=(1, 1)), F64), signed((3, 2, 5, 5)).double()
    z, dx, *_ = there_and_back(conv, x)
    g = upstream(z)
    for i in range(3):
        alone = x[i : i + 1].clone().requires_grad_()
        z_i = conv(alone)
        assert torch.equal(z_i, z[i : i + 1])
        assert torch.equal(torch.autograd.grad(z_i, alone, g[i : i + 1])[0], dx[i : i + 1])


# ------------------------------------------------------------------------------------------------- orders, fields


@pytest.mark.parametrize("dtype", [F32, F64])
def test_no_order_matters(dtype):
    """Of samples, of channels, of positions (both axes turned round), alone or together."""
    conv, x = layer((4, 3, 3, 3), How(padding=(1, 1)), dtype), signed((4, 3, 5, 5)).to(dtype)
    z = conv(x)
    g = upstream(z)
    dx, dw, db = torch.autograd.grad(conv(x := x.requires_grad_()), [x, *conv.parameters()], g)
    samples, channels = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 2, 0])

    def turned(t: Tensor) -> Tensor:
        return t.flip(2, 3)

    other = exact.Conv2d(3, 4, 3, padding=1, dtype=dtype)
    other.load_state_dict({"weight": turned(conv.weight[:, channels]), "bias": conv.bias})
    x2 = turned(x.detach()[samples][:, channels]).requires_grad_()
    z2 = other(x2)
    dx2, dw2, db2 = torch.autograd.grad(z2, [x2, *other.parameters()], turned(g[samples]))
    assert torch.equal(z2, turned(z[samples]))
    assert torch.equal(dx2, turned(dx[samples][:, channels]))
    assert torch.equal(dw2, turned(dw[:, channels]))
    assert torch.equal(db2, db)


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(2, 3), (4, 1)])
def test_padding_by_name_is_torchs(padding, kernel):
    mine = exact.Conv2d(2, 3, kernel, padding=padding, dilation=(1, 2), dtype=F64)
    true = nn.Conv2d(2, 3, kernel, padding=padding, dilation=(1, 2)).double()
    true.load_state_dict(mine.state_dict())
    x = signed((2, 2, 7, 8)).double()
    assert torch.allclose(mine(x), true(x), atol=1e-4 * float(x.abs().max()))


def test_one_picture_alone_may_be_without_its_axis():
    conv, x = layer((4, 2, 3, 3), How()), signed((1, 2, 5, 5))
    assert torch.equal(conv(x[0]), conv(x)[0])


@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_batch_of_none_is_as_torch_has_it(dtype):
    for groups in (1, 2):
        conv = exact.Conv2d(2, 4, 3, groups=groups, dtype=dtype)
        x = torch.zeros(0, 2, 5, 5, dtype=dtype, requires_grad=True)
        z = conv(x)
        z.sum().backward()
        assert z.shape == (0, 4, 3, 3)
        assert x.grad is not None
        assert x.grad.shape == x.shape
        assert all(p.grad is not None and not p.grad.any() for p in conv.parameters())


def test_weights_start_as_torchs_do():
    conv = exact.Conv2d(4, 6, (3, 2), groups=2, seed=1, tag="c")
    true = nn.Conv2d(4, 6, (3, 2), groups=2)
    assert {k: v.shape for k, v in conv.state_dict().items()} == {k: v.shape for k, v in true.state_dict().items()}
    assert torch.equal(conv.weight, exact.uniform((6, 2, 3, 2), 1, "c.weight", 12).float())
    assert conv.weight.abs().max() <= 12**-0.5
    assert repr(conv) == "Conv2d(4, 6, kernel_size=(3, 2), stride=(1, 1), groups=2, tag='c')"


REFUSED: list[dict[str, Any]] = [
    {"groups": 2, "in_channels": 3}, {"groups": 2, "out_channels": 3}, {"groups": 0}, {"padding": "more"},
    {"padding": "same", "stride": 2}, {"padding_mode": "mirror"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", REFUSED, ids=str)
def test_what_torch_refuses_is_refused(wrong):
    usual = {"in_channels": 2, "out_channels": 2, "kernel_size": 3}
    for kind in (nn.Conv2d, exact.Conv2d):
        with pytest.raises(ValueError, match=r"divisible|positive|at least|padding"):
            kind(**{**usual, **wrong})


@pytest.mark.parametrize(("wrong", "error"), [
    ({"in_channels": 0}, "in_channels 0: must be at least 1"), ({"kernel_size": 0}, "kernel_size is 0"),
    ({"stride": (1, 0)}, "stride is"), ({"padding": -1}, "padding is -1"), ({"dilation": 0}, "dilation is 0"),
    ({"padding_mode": "reflect"}, "'reflect' is not there"), ({"kernel_size": 2.5}, "a whole number, or two"),
    ({"kernel_size": (1, 2, 3)}, "a whole number, or two"), ({"dtype": torch.float16}, "dtype is torch.float16"),
    ({"device": "meta"}, "nothing is proven"), ({"levels": 0.0}, "levels is 0.0"),
    ({"in_channels": 2**22}, "a product over windows of 37748736 entries"),
])  # fmt: skip
def test_and_what_cannot_be_computed(wrong, error):
    with pytest.raises((ValueError, TypeError), match=error):
        exact.Conv2d(**{"in_channels": 2, "out_channels": 2, "kernel_size": 3, **wrong})


@pytest.mark.parametrize(("x", "error"), [
    (torch.zeros(1, 3, 5, 5), "must be \\[n, 2, rows, columns\\]"), (torch.zeros(5, 5), "must be"),
    (torch.zeros(1, 2, 2, 5), "2 x 5, too small for a window of 3 x 3"), (torch.zeros(1, 2, 5, 5).double(), "float64"),
    (torch.zeros(1, 2, 5, 5).int(), "int32"), (None, "no tensor"),
    (torch.zeros(1, 2, 5, 5, device="meta"), "is on meta"),
])  # fmt: skip
def test_inputs_that_do_not_fit_are_named(x, error):
    with pytest.raises((ValueError, TypeError), match=f"^c: .*{error}"):
        exact.Conv2d(2, 2, 3, tag="c")(x)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_named(bad, dtype):
    conv, x = exact.Conv2d(2, 2, 3, tag="hidden", dtype=dtype), signed((3, 2, 5, 5)).to(dtype)
    with pytest.raises(exact.NonFinite, match=r"the input \(layer hidden\)"):
        conv(x.index_fill(3, torch.tensor([2]), bad))
    out = conv(x)
    with pytest.raises(exact.NonFinite, match="the gradient"):
        out.backward(torch.full_like(out, bad))


def test_an_output_that_is_not_finite_is_named_with_its_group():
    conv = exact.Conv2d(4, 2, 1, groups=2, tag="hidden")
    with torch.no_grad():
        conv.weight[1] = 3e38
    with pytest.raises(exact.NonFinite, match=r"the output \(group 1, layer hidden\)"):
        conv(torch.full((1, 4, 2, 2), 3e38))


@pytest.mark.parametrize("dtype", [F32, F64])
def test_there_is_no_second_gradient(dtype):
    conv = exact.Conv2d(2, 2, 3, dtype=dtype)
    z = conv(signed((2, 2, 5, 5)).to(dtype))
    with pytest.raises(exact.Refused, match="create_graph"):
        torch.autograd.grad(z.sum(), conv.weight, create_graph=True)


# ------------------------------------------------------------------------------------------------- planted faults


def one_slice(q: Tensor) -> tuple[Tensor, Tensor]:
    """The lower slice dropped."""
    high, low = SLICES(q)
    return high, low * 0


def border_of_zeros(q: Tensor, lift: Tensor | int, windows: Any, groups: int) -> Tensor:
    """Padding held as 0, which stands for 128."""
    return LAID_OUT(q, lift * 0, windows, groups)


SLICES, LAID_OUT = on_integers.slices, on_integers.laid_out
FAULTS: dict[str, tuple[str, Any]] = {
    "a slice of the weight gradient is dropped": ("slices", one_slice),
    "padding is 0 in place of -128": ("laid_out", border_of_zeros),
    "the weight gradient has 13 bits": ("FINE", 13),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name, monkeypatch):
    attribute, fault = FAULTS[name]
    for kind in ("pixels", "signed"):
        with monkeypatch.context() as patch:
            require_caught(partial(check, "padded", kind), partial(patch.setattr, on_integers, attribute, fault))
