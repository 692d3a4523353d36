"""The compiled kernels: their parts against Python's integers, each pass against torch's operations, their assembly."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import operands
from samebits.exact.functional import log_total, softmax_terms, total
from samebits.exact.grid import total_bits
from samebits.exact.integers import functional, passes, plain
from samebits.exact.random import draws
from tests.exact.planted import require_caught
from tests.exact.test_roundings import KINDS, check_fused, check_linear, check_update, check_weight_gradient

numba = pytest.importorskip("numba")
from samebits.exact.integers import fast, kernels, memory, trial  # noqa: E402  # they need it

F32, I32 = np.float32, np.int32
FUSED = re.compile(r"\bvfn?m(?:add|sub)|\bfn?m(?:add|sub)|\bfml[as]")  # of x86 and of Arm


# ------------------------------------------------------------------ the parts


def edges(bits: int) -> np.ndarray:
    """Bits of tops: of every exponent the first, the last and those around the one where the grid becomes coarser."""
    carry = 2**23 - 2 ** (23 - bits - 1)
    parts = sorted({0, 1, 2**22, 2**23 - 1, *range(carry - 2, min(carry + 3, 2**23))})
    return np.array([(e << 23) + part for e in range(255) for part in parts], I32)


@pytest.mark.parametrize("bits", [7, 8, 22])
def test_exponents_are_the_least_that_hold_their_tops(bits: int) -> None:
    tops = edges(bits)
    found = [int(kernels.exponent(top, bits)) for top in tops]
    assert found == plain.exponents(torch.from_numpy(tops).view(torch.float32), bits).tolist()
    for top, e in zip(map(Fraction, tops.view(F32).tolist()), found, strict=True):
        assert round(top / Fraction(2) ** e) < 2**bits
        assert e == -100 or (e > -100 and round(top / Fraction(2) ** (e - 1)) >= 2**bits)


def test_powers_are_their_own_bits() -> None:
    e = np.arange(-126, 128, dtype=I32)
    made = np.array([kernels.power(each) for each in e], I32).view(F32)
    assert made.tolist() == [2.0**each for each in e.tolist()] == plain.power(torch.from_numpy(e)).tolist()


def test_rounding_is_half_to_even() -> None:
    """Up to 2^22, what the sum of a bias is made of."""
    wholes = [0, 1, 2, 126, 127, 128, 255, 2**12 + 1, 2**21 - 1, 2**21, 2**22 - 2, 2**22 - 1]
    near = np.array([s * (w + f) for w in wholes for f in (0, 0.25, 0.5, 0.75) for s in (1, -1)], F32)
    x = np.concatenate([near, np.nextafter(near, F32(0)), np.nextafter(near, near * 2), [2.0**22, -(2.0**22)]])
    x = x.astype(F32)[np.abs(x) <= 2**22]
    assert [int(kernels.rounded(v)) for v in x] == [round(v) for v in x.tolist()]


# ------------------------------------------------------------------ the passes


def pixels(n: int, k: int) -> Tensor:
    return torch.from_numpy((draws(n * k, 4, "pixels") >> 56).astype("uint8")).view(n, k)


def everything(n: int, k: int, m: int, kind: str) -> list[Tensor]:
    """What two seeds' layer and loss give, and their gradients."""
    made = KINDS[kind]
    w, x = made((2 * m, k), "w").view(2, m, k), made((2 * n, k), "x").view(2, n, k)
    g, b = made((2 * n, m), "g").view(2, n, m) * 2.0**-30, KINDS["normal"]((2, m), "b")
    images, labels = pixels(2 * n, k).view(2, n, k), torch.arange(2 * n).view(2, n) % m
    found = [functional.bias_gradient(g)]
    for inputs in (x, images, (images >> 1).to(torch.int8), images > 99):
        given = inputs.clone().requires_grad_() if inputs is x else inputs
        z = functional.linear(given, w, b, 255.0)
        found += [z.detach(), functional.weight_gradient(g, inputs, 255.0)]
        if inputs is x:
            found += torch.autograd.grad(z, given, g)
    logits = found[1].clamp(-1e4, 1e4).requires_grad_()
    loss = exact.cross_entropy(logits, labels)
    return [*found, loss.detach(), *torch.autograd.grad(loss.sum(), logits)]


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("kind", KINDS)
def test_the_passes_have_the_bits_of_plain_ones_at_every_width(kind: str) -> None:
    """Loops of a compiler's own making end in tails of every length."""
    for i in range(1, 40):
        sizes = (i % 11 + 1, i, (i * 7) % 23 + 1)
        passes.use(None)
        true = everything(*sizes, kind)
        passes.use(fast)
        for mine, theirs in zip(everything(*sizes, kind), true, strict=True):
            assert torch.equal(mine, theirs), sizes


def test_memory_in_any_order_is_read_alike() -> None:
    passes.use(fast)
    x, w, g = (KINDS["normal"](shape, "x") for shape in ((9, 20), (6, 20), (9, 6)))
    true = functional.linear(x, w, None, 1.0), functional.weight_gradient(g, x, 1.0), functional.bias_gradient(g)
    x, w, g = x.T.contiguous().T, torch.stack([w, w], -1)[..., 0], g.T.contiguous().T
    made = functional.linear(x, w, None, 1.0), functional.weight_gradient(g, x, 1.0), functional.bias_gradient(g)
    assert all(torch.equal(a, b) for a, b in zip(made, true, strict=True))


def gradients(x: Tensor, model: nn.Sequential) -> list[Tensor]:
    """Of a model's weights."""
    return list(torch.autograd.grad(model(x).sum(), list(model.parameters())))


def small_network(tag: str) -> nn.Sequential:
    return nn.Sequential(exact.Linear(20, 20, tag=f"{tag}a"), nn.ReLU(), exact.Linear(20, 20, tag=f"{tag}b"))


def test_graphs_of_the_same_sizes_share_no_memory() -> None:
    """Layers alike, graphs alive at once, and gone back over twice."""
    passes.use(fast)
    xs, models = [KINDS["normal"]((9, 20), f"x{i}") for i in range(3)], [small_network(f"{i}") for i in range(3)]
    true = [gradients(x, model) for x, model in zip(xs, models, strict=True)]
    outs = [model(x) for x, model in zip(xs, models, strict=True)]
    for _ in range(2):
        for out, model, grads in zip(outs, models, true, strict=True):
            made = torch.autograd.grad(out.sum(), list(model.parameters()), retain_graph=True)
            assert all(torch.equal(a, b) for a, b in zip(made, grads, strict=True))


def test_threads_share_no_memory() -> None:
    """Kernels run beside each other, for they need no lock of Python's."""
    passes.use(fast)
    xs, models = [KINDS["normal"]((400, 20), f"x{i}") for i in range(4)], [small_network(f"{i}") for i in range(4)]
    true = [gradients(x, model) for x, model in zip(xs, models, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            made = list(pool.map(gradients, xs, models))
            assert all(
                torch.equal(a, b)
                for one, other in zip(made, true, strict=True)
                for a, b in zip(one, other, strict=True)
            )


def test_memory_is_lent_again_and_that_of_a_whole_dataset_is_not_kept() -> None:
    passes.use(fast)
    layer, x = exact.Linear(20, 21), torch.ones(9, 20)
    layer(x).sum().backward()
    key = next(key for key in fast.OPERANDS.free if key[:4] == (1, 9, 20, 21))
    [lent] = fast.OPERANDS.free[key]
    z = layer(x)
    assert not fast.OPERANDS.free[key]
    del z
    assert fast.OPERANDS.free[key] == [lent]
    exact.linear(torch.ones(2**16, 70), torch.ones(3, 70))
    assert not any(key[1:3] == (2**16, 70) for key in fast.OPERANDS.free)
    graphs = [layer(x) for _ in range(2 * memory.SPARE)]
    del graphs
    assert len(fast.OPERANDS.free[key]) == memory.SPARE
    for k in range(1, 2 * memory.KINDS):
        exact.linear(torch.ones(2, k), torch.ones(3, k))
    assert len(fast.OPERANDS.free) <= memory.KINDS


def check_sums() -> None:
    """Sums of 800,000 numerators, most of near logits: a last bit of the polynomial shows in one of some thousand."""
    z = KINDS["normal"]((40_000, 10), "z") * torch.logspace(-6, 0, 40_000)[:, None]
    z, y = torch.cat([z, z.flip(0) * 20]), torch.arange(80_000) % 10
    g, sums, gaps = np.empty((1, 80_000, 10), F32), np.empty((1, 80_000)), np.empty((1, 80_000))
    assert kernels.loss_side(z.numpy()[None], y.numpy()[None], g, sums, gaps, np.empty(1, np.int64)) == -1
    d, e, s = softmax_terms(z.double())
    e /= s
    e[torch.arange(80_000), y] -= 1.0
    assert np.array_equal(sums[0], s.squeeze(-1).numpy())
    assert np.array_equal(gaps[0], d[torch.arange(80_000), y].numpy())
    assert np.array_equal(g[0], (e / torch.tensor(80_000.0, dtype=torch.float64)).float().numpy())


def test_the_loss_side_has_plains_bits() -> None:
    check_sums()


def check_means() -> None:
    """Mean losses, of few rows so that each counts; sums at both their ends and near 2^40, losses of 0 and large."""
    for n, count in ((3, 200_000), (4, 400), (7, 400), (64, 400)):
        wholes = (draws(count * n, 5, "sums") >> np.uint64(11)).astype(np.int64)  # below 2^53
        sums = np.where(np.arange(count * n) % 14 > 0, 2**40 + (wholes >> 13), wholes.clip(min=2**40))
        sums = sums.astype(np.float64).reshape(count, n)
        gaps = -np.abs(KINDS["normal"]((count, n), "gaps").double().numpy())
        gaps *= np.where(np.arange(count) % 9 > 0, 0.0, 2.0 ** (np.arange(count) % 100 - 60))[:, None]
        sums[:2], gaps[0], gaps[1, 1:] = 2.0**40, 0.0, 0.0
        means = np.empty(count)
        kernels.mean_losses(sums, gaps, total_bits(n), means)
        true = log_total(torch.from_numpy(sums)) - torch.from_numpy(gaps)
        assert means.tolist() == (total(true, -1) / torch.tensor(float(n), dtype=torch.float64)).tolist()


def test_mean_losses_have_plains_bits() -> None:
    check_means()


def check_hidden() -> None:
    """A hidden layer in one pass is its passes one by one."""
    x, w, b = pixels(60, 70), KINDS["of every size"]((33, 70), "w"), KINDS["normal"]((33,), "b")
    X, W, c = plain.pixels(x, torch.float64), plain.rows(w, torch.float64, "the weight"), operands.share(255.0)
    z = plain.affine(X.q @ W.q.mT, X, W, c, b).clip(min=0)
    true = plain.inputs(z, torch.float32, "the input")
    assert true.step is not None
    a, q, step = np.empty((1, 60, 33), F32), np.empty((1, 60, 33), F32), np.empty((1, 60), F32)
    bad = kernels.hidden(
        (X.q @ W.q.mT).numpy()[None], W.total.int().numpy()[None], W.step.numpy()[None], F32(c), np.ones((1, 60), F32),
        b.numpy()[None], a, q, step,
    )  # fmt: skip
    assert bad == -1
    for mine, theirs in ((a, z), (q, true.q), (step, true.step)):
        assert np.array_equal(mine[0], theirs.numpy())


def test_a_hidden_layer_in_one_pass_has_plains_bits() -> None:
    check_hidden()


@pytest.mark.parametrize("kind", KINDS)
def test_normalisation_has_the_bits_of_plain_operations(kind: str) -> None:
    """With and without weight and bias, in training and evaluation, where grids are alike and where they are not."""
    for i, shape in enumerate([(2, 1), (9, 3), (3, 5, 1), (5, 2, 33), (40, 3, 4, 7), (1, 2, 1, 3), (300, 3, 17, 17)]):
        kinds: Any = exact.BatchNorm2d if len(shape) == 4 else exact.BatchNorm1d
        norm = kinds(shape[1], affine=i % 3 != 2, bias=i % 3 == 0)
        x, g = (KINDS[kind]((shape[0], prod(shape[1:])), tag).view(shape) * 2.0**-9 for tag in "xg")
        found = []
        for each in (None, fast):
            passes.use(each)
            layer = deepcopy(norm)
            for _ in range(2):
                y = layer(given := x.clone().requires_grad_())
                found += [y.detach(), *torch.autograd.grad(y, [given, *layer.parameters()], g)]
                layer.eval()
            found += layer.buffers()
        half = len(found) // 2
        assert all(torch.equal(a, b) for a, b in zip(found[:half], found[half:], strict=True)), shape


CONVOLUTIONS: list[tuple[Any, ...]] = [(2, 3, 3), (4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2), (1, 1, 1), (3, 2, 5, 3, 2)]


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_have_the_bits_of_plain_operations(kind: str) -> None:
    for i, sizes in enumerate(CONVOLUTIONS):
        shape = (7, sizes[0], 9, 8)
        kinds: Any = exact.Conv2d
        conv = kinds(*sizes, bias=i % 2 == 0)
        x = KINDS[kind]((7, prod(shape[1:])), "x").view(shape)
        images = pixels(7, prod(shape[1:])).view(shape)
        found: list[list[Tensor]] = []
        for each in (None, fast):
            passes.use(each)
            y = conv(given := x.clone().requires_grad_())
            g = KINDS[kind]((7, y[0].numel()), "g").view(y.shape) * 2.0**-9
            found.append([y.detach(), *torch.autograd.grad(y, [given, *conv.parameters()], g)])
            for whole in (images, (images >> 1).to(torch.int8)):
                y = conv(whole)
                found[-1] += [y.detach(), *torch.autograd.grad(y, list(conv.parameters()), g)]
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)), sizes


def check_normalisation() -> None:
    assert trial.normalisation_agrees()


SPOILT: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "the input": lambda x, w, g: functional.linear(x, w, None, 1.0),
    "the weight": lambda x, w, g: functional.linear(x, w, None, 1.0),
    "the gradient": lambda x, w, g: functional.bias_gradient(g),
    "the gradient ": lambda x, w, g: functional.weight_gradient(g, x, 1.0),
    "the logits": lambda x, w, g: exact.cross_entropy(g, torch.zeros(3, dtype=torch.int64)),
}


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("what", SPOILT)
def test_a_number_that_is_none_is_found_wherever_it_is(bad: float, what: str) -> None:
    """In the first place, the last, and where a register ends."""
    passes.use(fast)
    for k in (1, 7, 8, 16, 17, 33):
        for place in {0, k // 2, k - 1}:
            given = torch.ones(3, k), torch.ones(2, k), torch.ones(3, k)
            SPOILT[what](*given)
            given[0 if what == "the input" else 1 if what == "the weight" else 2][-1, place] = bad
            with pytest.raises(exact.NonFinite, match=what.strip()):
                SPOILT[what](*given)


# ------------------------------------------------------------------ how they are compiled


def anew(kernel: Any, **how: Any) -> Any:
    """A kernel, compiled in another way."""
    return numba.njit(nogil=True, error_model="numpy", **how)(kernel.py_func)


def contracting(kernel: Any) -> Any:
    """A kernel whose compiler may fuse a multiplication and an addition."""
    return anew(kernel, fastmath={"contract"})


KERNELS = {name: kernel for name, kernel in vars(kernels).items() if hasattr(kernel, "py_func")}


@pytest.fixture(scope="module")
def fuses() -> None:
    """Skip where the processor has no fused operation, so that there is nothing to see."""
    control = contracting(kernels.sgd)
    control(*(np.ones(99, F32) for _ in range(3)), F32(0.1), F32(0.5), F32(0.0))
    if not FUSED.search("".join(control.inspect_asm().values())):
        pytest.skip("this processor has no fused multiply-add")


@pytest.mark.usefixtures("fuses")
def test_no_kernel_holds_a_fused_operation() -> None:
    passes.use(None)
    assert trial.differs() is None  # each is compiled now for what it is called with
    looked = 0
    for name, kernel in KERNELS.items():
        for signature in kernel.signatures[:1]:
            twin = anew(kernel)
            twin.compile(signature)
            text = "".join(twin.inspect_asm().values())
            assert not FUSED.search(text), name
            looked += "mul" in text and "add" in text
    assert looked > 8


def truncated(x: float) -> Any:
    """A float32 cut off."""
    return np.int32(x)


def recompiled(monkeypatch: pytest.MonkeyPatch, name: str, fault: Any) -> None:
    """Put a fault in place of a kernel, and compile anew whatever calls it."""
    monkeypatch.setattr(kernels, name, fault)
    callers = {"rounded": ["on_grid", "rows", "folded", "inputs", "hidden", "columns", "bias_gradient", "update"]}
    for caller in callers.get(name, []):
        monkeypatch.setattr(kernels, caller, anew(KERNELS[caller]))


def compiled(check: Callable[..., None], *rest: Any) -> Callable[[], None]:
    """A check, by compiled passes."""

    def checked() -> None:
        passes.use(fast)
        check(*rest)

    return checked


RATES = (1 / 3, 0.9, 0.1)
FAULTS: dict[str, tuple[str, Callable[[], Any], Callable[[], None]]] = {
    "truncation": ("rounded", lambda: numba.njit(truncated), compiled(check_linear, "normal")),
    "truncation, in the gradients": (
        "rounded", lambda: numba.njit(truncated), compiled(check_weight_gradient, "normal")),
    "a product and a sum fused in the logits": (
        "affine", lambda: contracting(kernels.affine), compiled(check_linear, "normal")),
    "fused in the hidden layers": ("hidden", lambda: contracting(kernels.hidden), check_hidden),
    "fused in the polynomial": ("loss_side", lambda: contracting(kernels.loss_side), check_sums),
    "fused in the logarithm": ("mean_losses", lambda: contracting(kernels.mean_losses), check_means),
    "fused in normalising": ("normalise", lambda: contracting(kernels.normalise), check_normalisation),
    "fused in its gradient": ("normal_below", lambda: contracting(kernels.normal_below), check_normalisation),
    "fused in a convolution's outputs": (
        "convolved", lambda: contracting(kernels.convolved),
        lambda: test_convolutions_have_the_bits_of_plain_operations("normal")),
    "fused in the update": ("sgd", lambda: contracting(kernels.sgd), compiled(check_update, RATES)),
    "fused in the update of fused steps": (
        "update", lambda: contracting(kernels.update), compiled(check_fused, RATES)),
}  # fmt: skip


@pytest.mark.usefixtures("fuses")
@pytest.mark.parametrize(("name", "fault", "check"), FAULTS.values(), ids=list(FAULTS))
def test_a_planted_fault_is_caught(
    name: str, fault: Callable[[], Any], check: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_caught(check, lambda: recompiled(monkeypatch, name, fault()))


@pytest.mark.usefixtures("fuses")
@pytest.mark.parametrize(("name", "fault"), [each[:2] for each in FAULTS.values()], ids=list(FAULTS))
def test_the_trial_before_kernels_are_used_sees_it(
    name: str, fault: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recompiled(monkeypatch, name, fault())
    assert trial.differs() == "numba's kernels differ from torch's operations here"
    assert passes._compiled is None
