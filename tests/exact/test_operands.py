"""What people hand over by mistake: one sentence, the same by every way; and what looks odd but is right, right."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import functional, product
from samebits.exact.integers import passes

F32, F64 = torch.float32, torch.float64
LABELS = torch.tensor([0, 1])


def layer(dtype: torch.dtype = F32) -> exact.Linear:
    return exact.Linear(4, 3, tag="first", dtype=dtype)


def ones(*shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.ones(shape, dtype=dtype)


def learning(*shape: int) -> Tensor:
    return torch.ones(shape).requires_grad_()


Case = tuple[Callable[[], object], type[Exception], str]
CASES: dict[str, Case] = {
    "another width": (
        lambda: layer()(ones(2, 5)),
        ValueError,
        "first: the input is [2, 5], but the weight [3, 4] takes",
    ),
    "another width, wide": (lambda: layer(F64)(ones(2, 5, dtype=F64)), ValueError, "first: the input is [2, 5], but"),
    "an array": (lambda: layer()(np.ones((2, 4), np.float32)), TypeError, "first: the input is no tensor"),
    "a list": (lambda: layer()([[1.0] * 4]), TypeError, "first: the input is no tensor"),
    "no axes": (lambda: layer()(torch.tensor(1.0)), ValueError, "first: the input is [], but"),
    "float64 into float32": (
        lambda: layer()(ones(2, 4, dtype=F64)),
        TypeError,
        "first: the input is torch.float64, but",
    ),
    "float32 into float64": (lambda: layer(F64)(ones(2, 4)), TypeError, "first: the input is torch.float32, but"),
    "whole numbers of 64 bits": (
        lambda: layer()(torch.ones(2, 4).long()),
        TypeError,
        "first: the input is torch.int64",
    ),
    "half": (lambda: layer().half()(ones(2, 4)), TypeError, "first: the weight is torch.float16, but must be"),
    "sparse": (
        lambda: layer()(ones(2, 4).to_sparse()),
        TypeError,
        "first: the input is torch.sparse_coo, but must be dense",
    ),
    "a weight of one axis": (
        lambda: exact.linear(ones(2, 4), ones(4)),
        ValueError,
        "the weight is [4], but must be [out, in]",
    ),
    "a bias of another length": (
        lambda: exact.linear(ones(2, 4), ones(3, 4), ones(2)),
        ValueError,
        "the bias is [2], but",
    ),
    "a bias of another type": (
        lambda: exact.linear(ones(2, 4), ones(3, 4), ones(3, dtype=F64)),
        TypeError,
        "the bias is torch.float64",
    ),
    "seeds that do not fit": (
        lambda: exact.linear(ones(3, 2, 4), ones(2, 3, 4)),
        ValueError,
        "the leading axes of [3, 2, 4] and [2, 3, 4]",
    ),
    "one sample for seeds": (lambda: exact.linear(ones(4), ones(2, 3, 4)), ValueError, "the input is [4], but must be"),
    "a weight that seeds share": (
        lambda: exact.linear(ones(3, 2, 4), learning(1, 5, 4)),
        exact.Refused,
        "the weight is [1, 5, 4], but [3, 5, 4]",
    ),
    "inputs that seeds share": (
        lambda: exact.linear(learning(2, 4), ones(3, 5, 4)),
        exact.Refused,
        "the input is [2, 4], but [3, 2, 4]",
    ),
    "a bias that seeds share": (
        lambda: exact.linear(ones(3, 2, 4), ones(3, 5, 4), learning(5)),
        exact.Refused,
        "the bias is [5], but [3, 5]",
    ),
    "a bias that units share": (
        lambda: exact.linear(ones(2, 4), ones(5, 4), learning(1)),
        exact.Refused,
        "the bias is [1], but [5]",
    ),
    "levels that are none": (lambda: exact.Linear(4, 3, levels=torch.nan), ValueError, "levels is nan, but"),
    "no levels": (lambda: exact.linear(ones(2, 4), ones(3, 4), None, 0.0), ValueError, "levels is 0.0, but"),
    "levels too small": (lambda: exact.linear(ones(2, 4), ones(3, 4), None, 1e-60), ValueError, "levels is 1e-60, but"),
    "fewer levels than none": (lambda: exact.linear(ones(2, 4), ones(3, 4), None, -1.0), ValueError, "levels is -1.0"),
    "a width that is no whole number": (lambda: exact.Linear(3.0, 5), TypeError, "linear: in_features is 3.0, but"),  # type: ignore[arg-type]
    "a width below one": (lambda: exact.Linear(3, -5), exact.Refused, "linear: out_features -5: must be at least 1"),
    "a device without numbers": (
        lambda: exact.Linear(3, 5, device="meta"),
        exact.Refused,
        "nothing is proven of device meta",
    ),
    "one width": (lambda: exact.require_sizes(64, (784,)), exact.Refused, "widths [784]: a network has two at least"),
    "a batch that is no whole number": (lambda: exact.require_sizes(0.5, (4, 3)), TypeError, "batch is 0.5, but"),  # type: ignore[arg-type]
    "other samples": (
        lambda: exact.weight_gradient(ones(3, 2), ones(2, 4)),
        ValueError,
        "the input is [2, 4], but the",
    ),
    "other samples, wide": (
        lambda: exact.weight_gradient(ones(3, 2, dtype=F64), ones(2, 4, dtype=F64)),
        ValueError,
        "the input is [2, 4], but",
    ),
    "a gradient of one axis": (lambda: exact.bias_gradient(ones(3)), ValueError, "the gradient is [3], but must be"),
    "a gradient of whole numbers": (
        lambda: exact.bias_gradient(ones(3, 3).int()),
        TypeError,
        "the gradient is torch.int32",
    ),
    "a label too large": (
        lambda: exact.cross_entropy(ones(2, 3), torch.tensor([0, 3])),
        ValueError,
        "a label is 0 to 3, but must be 0 to 2",
    ),
    "a label below 0, wide": (
        lambda: exact.cross_entropy(ones(2, 3, dtype=F64), torch.tensor([0, -1])),
        ValueError,
        "a label is -1 to 0, but",
    ),
    "a scalar label": (
        lambda: exact.cross_entropy(ones(3), torch.tensor(0)),
        ValueError,
        "the logits are [3], but must be [..., n, classes]",
    ),
    "complex labels": (
        lambda: exact.cross_entropy(ones(2, 3), LABELS.to(torch.complex64)),
        ValueError,
        "do not fit logits",
    ),
    "a list of labels": (lambda: exact.cross_entropy(ones(2, 3), [0, 1]), TypeError, "a tensor of labels is no tensor"),  # type: ignore[arg-type]
    "no classes": (lambda: exact.cross_entropy(ones(2, 0), LABELS), ValueError, "the logits are [2, 0], but must be"),
    "no classes for softmax": (lambda: exact.softmax(ones(2, 0, dtype=F64)), ValueError, "one class at least"),
    "the mean of nothing": (
        lambda: exact.cross_entropy(ones(0, 3), LABELS[:0]),
        ValueError,
        "the logits are [0, 3]: no rows have no mean",
    ),
    "the mean of nothing, wide": (
        lambda: exact.cross_entropy(ones(0, 3, dtype=F64), LABELS[:0]),
        ValueError,
        "no rows have no mean",
    ),
    "no such axis": (lambda: exact.sum(ones(2, 3, dtype=F64), 2), ValueError, "there is no axis 2 in [2, 3]"),
    "no axis to sum over": (lambda: exact.sum(torch.tensor(1.0, dtype=F64)), ValueError, "there is no axis -1 in []"),
    "a list to sum": (lambda: exact.sum([1.0]), TypeError, "a tensor to sum is no tensor"),  # type: ignore[arg-type]
    "vectors to multiply": (
        lambda: exact.matmul(ones(3, dtype=F64), ones(3, dtype=F64)),
        ValueError,
        "two axes or more",
    ),
    "matrices that do not fit": (
        lambda: exact.matmul(ones(3, 2, dtype=F64), ones(3, 2, dtype=F64)),
        ValueError,
        "2 columns do not fit 3 rows",
    ),
    "a bare parameter": (lambda: exact.SGD(learning(3), 0.1), TypeError, "params is a tensor, but must be a list"),
    "a group's list": (
        lambda: exact.SGD([{"params": [learning(3)]}, {"params": [[1.0]]}], 0.1),
        TypeError,
        "parameter 1 is no tensor",
    ),
    "one in two groups": (lambda: in_groups(learning(3)), ValueError, "more than one parameter group"),
    "a group's rate": (lambda: in_groups(learning(3), lr=-1), ValueError, "lr is -1, but must be a number"),
    "a damping that is none": (
        lambda: exact.SGD([learning(3)], dampening=torch.nan),
        ValueError,
        "dampening is nan, but must be a number",
    ),
    "nesterov without momentum": (
        lambda: exact.SGD([learning(3)], nesterov=True),
        ValueError,
        "nesterov needs a momentum above 0 and no dampening",
    ),
    "nesterov with dampening": (
        lambda: exact.SGD([learning(3)], 0.1, 0.9, dampening=0.1, nesterov=True),
        ValueError,
        "nesterov needs a momentum above 0 and no dampening",
    ),
    "a beta of 1": (
        lambda: exact.AdamW([learning(3)], betas=(0.9, 1.0)),
        ValueError,
        "betas are (0.9, 1.0), but must be two numbers from 0 to below 1",
    ),
    "an eps below 0": (lambda: exact.Adam([learning(3)], eps=-1e-8), ValueError, "eps is -1e-08, but must be a number"),
    "nothing to learn": (lambda: exact.SGD([], 0.1), ValueError, "there are no parameters to learn"),
    "one twice": (lambda: exact.SGD([*layer().parameters()] * 2, 0.1), ValueError, "parameter 2 is there twice"),
    "what is computed": (lambda: exact.SGD([learning(3) * 2], 0.1), ValueError, "parameter 0 is computed from other"),
    "parameters of 16 bits": (
        lambda: exact.SGD(layer().half().parameters(), 0.1),
        TypeError,
        "parameter 0 is torch.float16",
    ),
    "a rate that is none": (lambda: exact.SGD([learning(3)], torch.nan), ValueError, "lr is nan, but must be a number"),
    "a momentum without end": (lambda: exact.SGD([learning(3)], 0.1, torch.inf), ValueError, "momentum is inf, but"),
    "a sparse gradient": (
        lambda: sparse_step(),
        TypeError,
        "the gradient of parameter 0 is torch.sparse_coo, but must be",
    ),
    "a velocity of another shape": (
        lambda: loaded({0: {"momentum_buffer": ones(2)}}),
        ValueError,
        "momentum_buffer of parameter 0 is [2], but",
    ),
    "a velocity of nobody": (lambda: loaded({1: {}}), ValueError, "state has 1, but no group has such a parameter"),
    "a velocity that is no tensor": (
        lambda: loaded({0: {"momentum_buffer": [0.0] * 3}}),
        TypeError,
        "momentum_buffer of parameter 0 is no tensor",
    ),
}


def sparse_step() -> None:
    w = learning(3)
    w.grad = ones(3).to_sparse()
    exact.SGD([w], 0.1).step()


def in_groups(w: Tensor, **rates: float) -> None:
    exact.SGD([{"params": w, **rates}, {"params": [w]}], 0.1)


def loaded(state: dict[int, Any]) -> None:
    optimizer = exact.SGD([learning(3)], 0.1, 0.9)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("do", "error", "said"), CASES.values(), ids=list(CASES))
def test_a_mistake_is_one_sentence(do: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)) as caught:
        do()
    assert caught.type is error
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("way")
def test_within_autocast_products_are_refused() -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(exact.Refused, match=r"first: torch\.autocast is on"):
        layer()(ones(2, 4))
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(exact.Refused, match=r"torch\.autocast is on"):
        exact.weight_gradient(ones(2, 3), ones(2, 4))


def test_where_kernels_cannot_be_it_is_said() -> None:
    assert exact.prepare("mps") == "there are compiled kernels for cpu and cuda, not for mps"
    if not torch.cuda.is_available():
        assert exact.prepare("cuda") == "there is no CUDA device here"


# ------------------------------------------------------------------ what is right


@pytest.mark.usefixtures("way", "route")
def test_leading_axes_broadcast_where_no_gradient_is_wanted() -> None:
    x, w, b = exact.normal((2, 7), 1.0, 0, "x").float(), exact.normal((3, 5, 7), 1.0, 0, "w").float(), ones(5)
    w.requires_grad_()
    z = exact.linear(x, w, b)
    [found] = torch.autograd.grad(z, w, ones(3, 2, 5))
    for seed in range(3):
        assert torch.equal(z[seed], exact.linear(x, w[seed], b))
        assert torch.equal(found[seed], exact.weight_gradient(ones(2, 5), x))
    assert torch.equal(exact.weight_gradient(ones(3, 2, 5), x), found)


@pytest.mark.usefixtures("way", "route")
def test_shapes_without_an_entry_and_with_many_axes() -> None:
    for shape in ((0, 4), (3, 0, 4), (2, 3, 2, 4), (4,)):
        x = learning(*shape)
        z = layer()(x)
        assert z.shape == (*shape[:-1], 3)
        z.sum().backward()
        assert x.grad is not None
        assert x.grad.shape == shape


@pytest.mark.usefixtures("way", "route")
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.bool, F32])
def test_inputs_in_any_layout(dtype: torch.dtype) -> None:
    """Turned over, strided, one row for all, rows that overlap."""
    w, g = exact.normal((5, 6), 1.0, 0, "w").float().requires_grad_(), exact.normal((4, 5), 1.0, 0, "g").float()
    whole = (torch.arange(48) % 7).to(dtype)
    for x in (whole[:24].view(6, 4).T, whole.view(4, 12)[:, ::2], whole[1:7].expand(4, 6), whole.unfold(0, 6, 1)[:4]):
        z, given = exact.linear(x, w), x.clone().contiguous()
        assert torch.equal(z, exact.linear(given, w))
        assert torch.equal(torch.autograd.grad(z, w, g)[0], exact.weight_gradient(g, given))


@pytest.mark.usefixtures("way", "route")
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8])
def test_a_buffer_may_be_filled_anew_before_the_gradient(dtype: torch.dtype) -> None:
    w, g = exact.normal((5, 6), 1.0, 0, "w").float().requires_grad_(), exact.normal((4, 5), 1.0, 0, "g").float()
    x = (torch.arange(24) % 7).to(dtype).view(4, 6)
    true, z = exact.weight_gradient(g, x.clone()), exact.linear(x, w)
    x.zero_()
    assert torch.equal(torch.autograd.grad(z, w, g)[0], true)


@pytest.mark.usefixtures("way", "route")
def test_what_a_layer_gives_may_be_changed_in_place() -> None:
    x, results = exact.normal((5, 4), 1.0, 0, "x").float(), []
    for relu in (exact.ReLU(inplace=True), exact.ReLU()):
        model = nn.Sequential(layer(), relu, exact.Linear(3, 2))
        z = model(x)
        z += 1.0
        z.sum().backward()
        results.append([w.grad for w in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_bias_that_is_no_number_is_seen_at_once(value: float, dtype: torch.dtype) -> None:
    """ReLU would make a 0 of -inf."""
    one = layer(dtype)
    with torch.no_grad():
        assert one.bias is not None
        one.bias[1] = value
    with pytest.raises(exact.NonFinite, match=r"the output \(layer first\)"):
        nn.Sequential(one, exact.ReLU())(ones(2, 4, dtype=dtype))


@pytest.mark.usefixtures("way", "route")
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_product_beyond_float32_is_seen_at_once(sign: float) -> None:
    with pytest.raises(exact.NonFinite, match="the output"):
        exact.linear(ones(2, 4) * 1e30, ones(3, 4) * 1e30 * sign)


def test_it_is_seen_in_fused_steps_too() -> None:
    pytest.importorskip("numba")
    from samebits.exact.integers.fused import Fused

    first = layer()
    model = nn.Sequential(first, exact.ReLU(), exact.Linear(3, 2))
    with torch.no_grad():
        assert first.bias is not None
        first.bias[1] = -torch.inf
    with pytest.raises(exact.NonFinite, match=r"the output \(layer first, step 1\)"):
        Fused(model, 0.1).epoch(torch.ones(2, 4, dtype=torch.uint8), LABELS, LABELS, 2)


# ------------------------------------------------------------------ whatever surrounds it


def learned(dtype: torch.dtype) -> str:
    """The digest after a step of widths that no other test has, so that memory for them is made here."""
    model = nn.Sequential(
        exact.Linear(29, 13, tag="a", dtype=dtype), nn.ReLU(), exact.Linear(13, 11, tag="b", dtype=dtype)
    )
    optimizer, x = exact.SGD(model.parameters(), 0.1, 0.9), exact.normal((17, 29), 1.0, 0, "x").to(dtype)
    for inputs in (x, (x > 0).to(torch.uint8)):
        optimizer.zero_grad()
        exact.CrossEntropyLoss()(model(inputs), torch.zeros(17, dtype=torch.int64, device="cpu")).backward()
        optimizer.step()
    with torch.no_grad():
        model(x)
    return exact.digest(model.state_dict())


@pytest.fixture
def forgetful() -> None:
    """Nothing is kept from before."""
    product.MEMORY.slots = [torch.empty(0, dtype=F64)] * 2
    functional.divisor.cache_clear()
    if fast := passes._compiled:
        for pool in (fast.OPERANDS, fast.OUTPUTS, fast.BACK):
            pool.free.clear()


@pytest.mark.usefixtures("way", "route", "forgetful")
@pytest.mark.parametrize("dtype", [F32, F64])
def test_what_is_kept_from_inference_mode_serves_training(dtype: torch.dtype) -> None:
    model = nn.Sequential(exact.Linear(29, 13, dtype=dtype), nn.ReLU(), exact.Linear(13, 11, dtype=dtype))
    with torch.inference_mode():
        z = model(ones(17, 29, dtype=dtype))
        exact.cross_entropy(z, torch.zeros(17, dtype=torch.int64))
        exact.weight_gradient(ones(17, 13, dtype=dtype), torch.ones(17, 29, dtype=torch.uint8))
        exact.divide(ones(1, dtype=F64), 3)
    learned(dtype)
    exact.divide(ones(1, dtype=F64).requires_grad_(), 3).backward()


@pytest.mark.usefixtures("way", "route", "forgetful")
@pytest.mark.parametrize("dtype", [F32, F64])
def test_defaults_of_torch_change_nothing(dtype: torch.dtype) -> None:
    true = learned(dtype)
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float16)
    try:
        assert learned(dtype) == true
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(F32)


# ------------------------------------------------------------------ what an optimizer goes on with


def trained(spoil: Callable[[exact.SGD], object] = lambda optimizer: None, momentum: float = 0.9) -> Tensor:
    """A weight after two steps by plain operations and two by the passes that are in use."""
    before = passes._compiled
    passes.use(None)
    w = exact.normal((4, 6), 1.0, 0, "w").float().requires_grad_()
    optimizer = exact.SGD([w], 0.1, momentum)
    for i in range(4):
        w.grad = exact.normal((6, 4), 1.0, i, "g").float().T  # in another layout
        if i == 2:
            spoil(optimizer)
            passes.use(before)
        optimizer.step()
    return w.detach()


def reload(change: Callable[[Tensor], Tensor]) -> Callable[[exact.SGD], object]:
    def reloaded(optimizer: exact.SGD) -> None:
        saved = optimizer.state_dict()
        state = {i: {name: change(v) for name, v in each.items()} for i, each in saved["state"].items()}
        optimizer.load_state_dict({**saved, "state": state})

    return reloaded


def foreign(optimizer: exact.SGD) -> None:
    """A velocity that somebody put there."""
    [state] = optimizer.state.values()
    state["momentum_buffer"] = state["momentum_buffer"].T.contiguous().T


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("spoil", [
    lambda optimizer: None, reload(lambda v: v.T.contiguous().T), reload(lambda v: v.double()), foreign,
])  # fmt: skip
def test_a_velocity_goes_on_whatever_its_layout_and_type(spoil: Callable[[exact.SGD], object]) -> None:
    made = trained(spoil)
    passes.use(None)
    assert torch.equal(made, trained())


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("momentum", [1e-46, 1e-60, 1e-40])
def test_a_momentum_below_float32s_is_0(momentum: float) -> None:
    made = trained(momentum=momentum)
    passes.use(None)
    assert torch.equal(made, trained(momentum=momentum))


@pytest.mark.usefixtures("way")
def test_a_model_may_become_float64_between_steps() -> None:
    model = layer()
    optimizer = exact.SGD(model.parameters(), 0.1, 0.9)
    for x in (ones(2, 4), ones(2, 4, dtype=F64)):
        model.to(x.dtype)
        model(x).sum().backward()
        optimizer.step()
    assert [v["momentum_buffer"].dtype for v in optimizer.state.values()] == [F64, F64]


@pytest.mark.usefixtures("way")
def test_a_graph_of_weights_that_have_learned_since_says_so() -> None:
    w = learning(3)
    squares, optimizer = (w * w).sum(), exact.SGD([w], 0.1)
    w.grad = ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()


def test_so_it_does_after_fused_steps() -> None:
    pytest.importorskip("numba")
    from samebits.exact.integers.fused import Fused

    model = nn.Sequential(layer())
    squares = (model[0].weight * model[0].weight).sum()  # type: ignore[operator]
    Fused(model, 0.1).epoch(torch.ones(2, 4, dtype=torch.uint8), LABELS, LABELS, 2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()


def test_gradients_become_none_or_0() -> None:
    w = learning(3)
    w.grad = ones(3)
    optimizer = exact.SGD([w], 0.1)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0] * 3
    optimizer.zero_grad()
    assert w.grad is None
