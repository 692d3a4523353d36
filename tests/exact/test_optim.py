"""The optimizers beside torch's in float64, against single numbers bit for bit, and under torch's schedules."""

import copy
import inspect
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler as schedules

from samebits import exact
from samebits.exact import adam
from tests.exact import reader
from tests.exact.planted import require_caught
from tests.made import small
from tests.made.inputs import threads

F32, F64 = torch.float32, torch.float64
BOUND = {F64: 1e-13, F32: 1e-5}  # of weights of about 1, after 50 steps of 0.1
HOW: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("SGD", {"momentum": 0.5, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"dampening": 0.3}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.1, "betas": (0.5, 0.9)}),
    ("Adam", {"amsgrad": True, "maximize": True, "eps": 1e-3}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True, "betas": (0.0, 0.99)}),
]
each = pytest.mark.parametrize(("name", "how"), HOW, ids=[f"{name}-{'-'.join(how)}" for name, how in HOW])
types = pytest.mark.parametrize("dtype", [F32, F64])


def weights(dtype: torch.dtype, count: int = 40) -> nn.Parameter:
    return nn.Parameter(exact.normal((count,), 1.0, 0, "w").to(dtype))


def slope(i: int, dtype: torch.dtype, count: int = 40) -> Tensor:
    """Gradients of very different sizes."""
    return (exact.normal((count,), 1.0, i, "g") * torch.logspace(-6, 3, count, 10, dtype=F64)).to(dtype)


def made(name: str, params: Any, how: dict[str, Any], lr: float = 0.1) -> Any:
    return getattr(exact, name)(params, lr, **how)


# ------------------------------------------------------------------------------------------------- torch's in float64


def check_beside_torch(name: str, how: dict[str, Any], dtype: torch.dtype) -> None:
    w, true = weights(dtype), nn.Parameter(weights(dtype).detach().double())
    ours, theirs = made(name, [w], how), getattr(torch.optim, name)([true], 0.1, **how)
    for i in range(50):
        w.grad = exact.normal((40,), 1.0, i, "g").to(dtype)
        true.grad = w.grad.double()
        ours.step(), theirs.step()
        torch.testing.assert_close(w.detach().double(), true.detach(), rtol=BOUND[dtype], atol=BOUND[dtype])


@types
@each
def test_it_learns_what_torchs_learns(name: str, how: dict[str, Any], dtype: torch.dtype) -> None:
    check_beside_torch(name, how, dtype)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_arguments_and_defaults_are_torchs(name: str) -> None:
    theirs = {k: p.default for k, p in inspect.signature(getattr(torch.optim, name)).parameters.items()}
    for argument, parameter in inspect.signature(getattr(exact, name)).parameters.items():
        if argument != "decoupled_weight_decay" or argument in theirs:  # newer than the oldest torch
            assert theirs[argument] == parameter.default
    assert {*theirs} - {*inspect.signature(getattr(exact, name)).parameters} == {
        "foreach", "differentiable", "fused", *(["capturable"] if name != "SGD" else []),
    }  # fmt: skip


# --------------------------------------------------------------------------------------------- single numbers, in order


def repeated_square(beta: float, n: int) -> float:
    """beta^n from the halves of n."""
    if n == 1:
        return beta
    half = repeated_square(beta, n // 2)
    return half * half * beta if n % 2 else half * half


def by_numbers(name: str, how: dict[str, Any], w: list[Any], steps: list[list[Any]], one: type) -> list[Any]:
    """docs/exact.md, "Optimizers", for numbers of the type `one`, each of whose operations is IEEE's."""
    rate = {k: one(v) for k, v in ({"lr": 0.1, "weight_decay": 0.01 if name == "AdamW" else 0.0} | how).items()
            if k in ("lr", "momentum", "dampening", "weight_decay", "eps")}  # fmt: skip
    lr, decay, eps = rate["lr"], rate["weight_decay"], rate.get("eps", one(1e-8))
    momentum, keep = rate.get("momentum", one(0)), one(1.0 - float(rate.get("dampening", one(0))))
    betas = [float(one(beta)) for beta in how.get("betas", (0.9, 0.999))]
    (b1, b2), (c1, c2) = (one(b) for b in betas), (one(1.0 - b) for b in betas)
    w, m, v, top = list(w), *([one(0)] * len(w) for _ in range(3))
    for t, gradient in enumerate(steps, 1):
        s, r = (float(lr) / (1.0 - repeated_square(betas[0], t)), math.sqrt(1.0 - repeated_square(betas[1], t)))
        for j, g in enumerate(gradient):
            g = -g if how.get("maximize") else g
            if name == "AdamW":
                w[j] = w[j] - w[j] * one(float(lr) * float(decay))
            elif decay:
                g = g + w[j] * decay
            if name == "SGD":
                if momentum:
                    m[j] = m[j] * momentum + g * (keep if t > 1 else one(1))
                    g = g + m[j] * momentum if how.get("nesterov") else m[j]
                w[j] = w[j] - g * lr
                continue
            m[j] = m[j] * b1 + g * c1
            v[j] = v[j] * b2 + g * g * c2
            top[j] = max(top[j], v[j])
            u = one(math.sqrt(top[j] if how.get("amsgrad") else v[j])) * one(1.0 / r) + eps
            w[j] = w[j] - m[j] / u * one(s)
    return w


def check_numbers(name: str, how: dict[str, Any], dtype: torch.dtype) -> None:
    one = np.float32 if dtype == F32 else np.float64
    w, slopes = weights(dtype), [slope(i, dtype) for i in range(5)]
    start, optimizer = [one(x) for x in w.tolist()], made(name, [w], how)
    for g in slopes:
        w.grad = g
        optimizer.step()
    true = by_numbers(name, how, start, [[one(x) for x in g.tolist()] for g in slopes], one)
    assert w.tolist() == [float(x) for x in true]


@types
@each
def test_every_rounding(name: str, how: dict[str, Any], dtype: torch.dtype) -> None:
    check_numbers(name, how, dtype)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000, 12345])
def test_powers_are_products(n: int) -> None:
    for beta in (0.9, 0.999, 0.5, 0.0):
        assert adam.power(beta, n) == repeated_square(beta, n)
        assert adam.power(beta, n) == pytest.approx(beta**n, rel=2 * n * 2.0**-53)


class Coupled(adam.AdamW):
    """AdamW whose decay goes through the means."""

    def _update(self, group: Any, learning: Any) -> None:
        super()._update({**group, "decoupled_weight_decay": False}, learning)


FAULTS: dict[str, tuple[Any, str, Any, tuple[str, dict[str, Any]]]] = {
    "no bias correction": (adam, "power", lambda beta, n: 0.0, ("Adam", {})),
    "a step late": (adam, "power", lambda beta, n: beta ** (n + 1), ("Adam", {})),
    "decay through the means": (exact, "AdamW", Coupled, ("AdamW", {"weight_decay": 0.1})),
}  # fmt: skip


@pytest.mark.parametrize("check", [check_beside_torch, check_numbers])
@pytest.mark.parametrize(("where", "what", "fault", "case"), FAULTS.values(), ids=list(FAULTS))
def test_a_planted_fault_is_caught(
    where: Any, what: str, fault: Any, case: tuple[str, dict[str, Any]], check: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    require_caught(lambda: check(*case, F64), lambda: monkeypatch.setattr(where, what, fault))


def test_torchs_root_would_not_pass_the_reader() -> None:
    source = Path(adam.__file__).read_text()
    may = reader.allowed(Path(adam.__file__))
    assert not reader.read(source, may)
    for fault in ("torch.sqrt(", "torch.rsqrt(", "math.pow("):
        assert reader.read(source.replace("root(", fault), may)
    assert reader.read(source.replace("power(beta1, step)", "beta1**step"), may)


# ------------------------------------------------------------------------------------------------------ groups, state


@each
def test_groups_have_rates_of_their_own(name: str, how: dict[str, Any]) -> None:
    a, b, c = (weights(F32) for _ in range(3))
    together = made(name, [{"params": a}, {"params": (b,), "lr": 0.01}], how)
    together.add_param_group({"params": [c], "weight_decay": 0.5})
    alone = [weights(F32) for _ in range(3)]
    apart = [made(name, [w], how | extra, lr) for w, lr, extra in zip(
        alone, (0.1, 0.01, 0.1), ({}, {}, {"weight_decay": 0.5}), strict=True)]  # fmt: skip
    for i in range(3):
        for w in (a, b, c, *alone):
            w.grad = slope(i, F32)
        for optimizer in (together, *apart):
            optimizer.step()
    assert [w.tolist() for w in (a, b, c)] == [w.tolist() for w in alone]


def test_named_parameters_are_learned() -> None:
    model = nn.Sequential(exact.Linear(3, 2))
    optimizer = exact.AdamW(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["0.weight", "0.bias"]


def learn(optimizer: Any, w: nn.Parameter, steps: Iterator[int] | range) -> None:
    for i in steps:
        w.grad = slope(i, w.dtype)
        optimizer.step()


@types
@each
def test_a_killed_run_resumes_to_the_same_bits(
    name: str, how: dict[str, Any], dtype: torch.dtype, tmp_path: Path
) -> None:
    whole, part = weights(dtype), weights(dtype)
    learn(made(name, [whole], how), whole, range(6))
    first = made(name, [part], how)
    learn(first, part, range(3))
    torch.save({"w": part.detach(), "optimizer": first.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    new = nn.Parameter(saved["w"])
    second = made(name, [new], {}, lr=99.0)  # rates come with the state
    second.load_state_dict(saved["optimizer"])
    learn(second, new, range(3, 6))
    assert torch.equal(whole, new)
    third = copy.deepcopy((first, part))
    assert third[0].param_groups[0]["params"][0] is third[1]


@each
def test_a_state_of_torchs_goes_on_here_and_ours_there(name: str, how: dict[str, Any]) -> None:
    a, b = weights(F64), weights(F64)
    ours, theirs = made(name, [a], how), getattr(torch.optim, name)([b], 0.1, **how)
    learn(ours, a, range(3))
    learn(theirs, b, range(3))
    crossed = made(name, [b], {}), getattr(torch.optim, name)([a], 0.1, **how)
    crossed[0].load_state_dict(theirs.state_dict())
    crossed[1].load_state_dict({**theirs.state_dict(), "state": ours.state_dict()["state"]})
    learn(crossed[0], b, range(3, 6))
    learn(crossed[1], a, range(3, 6))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_what_was_loaded_is_a_copy() -> None:
    w = weights(F32)
    optimizer = exact.Adam([w])
    learn(optimizer, w, range(1))
    saved = optimizer.state_dict()
    before = saved["state"][0]["exp_avg"].clone()
    other = exact.Adam([w])
    other.load_state_dict(saved)
    learn(other, w, range(1))
    assert torch.equal(saved["state"][0]["exp_avg"], before)


def test_a_closure_is_asked_for_loss_and_gradients() -> None:
    w = weights(F64)

    def closure() -> Any:
        loss = (w * w).sum()
        loss.backward()
        return loss

    for optimizer in (exact.SGD([w]), exact.Adam([w])):
        assert optimizer.step(closure) > 0  # type: ignore[operator]


def test_what_has_no_gradient_or_no_axes_or_no_entries() -> None:
    one, none, still = (nn.Parameter(torch.ones(shape)) for shape in ((), (0, 3), (2,)))
    for optimizer in (exact.Adam([one, none, still]), exact.SGD([one, none, still], 0.1, 0.9, nesterov=True)):
        one.grad, none.grad = torch.ones(()), torch.ones(0, 3)
        optimizer.step()
    assert still.tolist() == [1.0, 1.0]
    assert one.item() < 1.0


def test_transposed_weights_learn_the_same() -> None:
    a = nn.Parameter(exact.normal((4, 6), 1.0, 0, "w").float())
    b = nn.Parameter(a.detach().T.contiguous().T)
    a.grad = b.grad = exact.normal((4, 6), 1.0, 0, "g").float()
    exact.AdamW([a, b], amsgrad=True).step()
    assert torch.equal(a, b)


# --------------------------------------------------------------------------------------------------- torch's schedules

SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "step": lambda o: schedules.StepLR(o, 2, 0.3),
    "several steps": lambda o: schedules.MultiStepLR(o, [2, 5], 0.3),
    "constant": lambda o: schedules.ConstantLR(o, 0.5, 3),
    "linear": lambda o: schedules.LinearLR(o, 0.2, 1.0, 4),
    "exponential": lambda o: schedules.ExponentialLR(o, 0.9),
    "polynomial": lambda o: schedules.PolynomialLR(o, 6, 2.0),
    "a function": lambda o: schedules.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "products": lambda o: schedules.MultiplicativeLR(o, lambda epoch: 0.7),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, 5),
    "cosine with restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 3),
    "one cycle": lambda o: schedules.OneCycleLR(o, 0.3, total_steps=8),
    "cycles": lambda o: schedules.CyclicLR(o, 0.01, 0.1, 2, cycle_momentum=False),
    "warming up": lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o, 0.1, total_iters=2), schedules.StepLR(o, 1, 0.5)], [3]),
    "one upon another": lambda o: schedules.ChainedScheduler(
        [schedules.ConstantLR(o, 0.5, 2), schedules.ExponentialLR(o, 0.9)]),
    "a plateau": lambda o: schedules.ReduceLROnPlateau(o, patience=1, factor=0.3),
}  # fmt: skip


def scheduled(optimizer: Any, w: nn.Parameter, make: Callable[[Any], Any], steps: range) -> list[dict[str, Any]]:
    """The rates of each step, and what is learned by them."""
    schedule, rates = make(optimizer), []
    for i in steps:
        learn(optimizer, w, range(i, i + 1))
        rates.append({k: v for k, v in optimizer.param_groups[0].items() if k in ("lr", "momentum", "betas")})
        schedule.step(*([1.0] if isinstance(schedule, schedules.ReduceLROnPlateau) else []))
    return rates


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch's own, on its own deprecated ways
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=list(SCHEDULES))
@pytest.mark.parametrize(("name", "how"), [("SGD", {"momentum": 0.9, "nesterov": True}), ("AdamW", {})])
def test_schedules_take_it_for_torchs(make: Callable[[Any], Any], name: str, how: dict[str, Any]) -> None:
    a, b = weights(F64), weights(F64)
    ours = scheduled(made(name, [a], how), a, make, range(7))
    theirs = scheduled(getattr(torch.optim, name)([b], 0.1, **how), b, make, range(7))
    assert ours == theirs
    assert len({str(rates) for rates in ours}) > 1
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_a_rate_may_be_a_tensor() -> None:
    a, b = weights(F32), weights(F32)
    for w, lr in ((a, 0.25), (b, torch.tensor(0.25))):
        optimizer = exact.AdamW([w], lr=lr)  # type: ignore[arg-type]
        learn(optimizer, w, range(2))
        optimizer.param_groups[0]["lr"] *= 0.5
        learn(optimizer, w, range(2))
    assert torch.equal(a, b)


def test_no_step_imports_torchs_compiler() -> None:
    program = """
import sys, torch
from samebits import exact
from torch.optim.lr_scheduler import StepLR
w = torch.nn.Parameter(torch.ones(3))
for optimizer in (exact.SGD([w], momentum=0.9), exact.Adam([w]), exact.AdamW([w])):
    schedule, w.grad = StepLR(optimizer, 1), torch.ones(3)
    optimizer.step(), schedule.step(), optimizer.load_state_dict(optimizer.state_dict()), optimizer.zero_grad()
sys.exit("torch._dynamo" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# ------------------------------------------------------------------------------------------------------- the same bits

GOLDEN = {
    ("SGD", F64): "5b9325a74eeac716", ("Adam", F64): "0140b1e586985739", ("AdamW", F64): "318df5c55a7a9c43",
    ("SGD", F32): "14733c0d9887c394", ("Adam", F32): "39a04442138b17b4", ("AdamW", F32): "48442430d5f06f01",
}  # fmt: skip


def trained(name: str, dtype: torch.dtype) -> str:
    """Two epochs of the small network under a schedule that is exact by construction."""
    model = small.network(dtype=dtype)
    how = {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4} if name == "SGD" else {"weight_decay": 0.01}
    optimizer = made(name, model.parameters(), how, lr=0.1 if name == "SGD" else 0.01)
    schedule = schedules.StepLR(optimizer, 1, 0.3)
    for epoch in range(2):
        small.train(model, optimizer, exact.CrossEntropyLoss(), range(epoch, epoch + 1), *small.data())
        schedule.step()
    return exact.digest(model.state_dict())[:16]


@pytest.mark.parametrize(("name", "dtype"), GOLDEN)
def test_a_training_has_its_bits_with_one_thread_and_two(name: str, dtype: torch.dtype) -> None:
    assert {trained(name, dtype) for _ in threads()} == {GOLDEN[name, dtype]}


def test_large_weights_are_shared_out_to_threads_and_learn_the_same() -> None:
    found = set()
    for _ in threads():
        w = nn.Parameter(exact.normal((200, 200), 1.0, 0, "w").float())
        w.grad = exact.normal((200, 200), 1.0, 0, "g").float()
        exact.AdamW([w], amsgrad=True).step(), exact.SGD([w], 0.1, 0.9, nesterov=True).step()
        found.add(exact.digest({"w": w}))
    assert len(found) == 1
