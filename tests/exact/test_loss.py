"""Cross entropy with a weight for each class, labels that do not count, and smoothing, beside torch's in float64."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact import functional
from tests.exact.planted import require_caught

F64 = torch.float64
LABELS = torch.tensor([0, 3, -100, 1, 6, 6, 2])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.1, 3.0, 0.0, 1.7], dtype=F64)
BOUND = 1e-11  # relative, of what exp2 is worth: 2^-38.8 twice


def logits() -> Tensor:
    return exact.normal((len(LABELS), 7), 3.0, 0, "z").requires_grad_()


def check(reduction: Any = "mean", **how: Any) -> None:
    """Loss and gradient, within BOUND of torch's."""
    labels = how.pop("labels", LABELS)
    ours, theirs = logits(), logits()
    a = exact.CrossEntropyLoss(reduction=reduction, **how)(ours, labels)
    b = nn.CrossEntropyLoss(reduction=reduction, **how)(theirs, labels)
    a.sum().backward(), b.sum().backward()
    assert torch.allclose(a, b, rtol=BOUND, atol=BOUND)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, rtol=BOUND, atol=BOUND)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_it_is_torchs(reduction: str) -> None:
    for weight, smoothing, ignored in product((None, WEIGHT), (0.0, 0.1, 1.0), (-100, 6, 2)):
        labels = LABELS.clip(min=0) if ignored != -100 else LABELS
        check(reduction, weight=weight, label_smoothing=smoothing, ignore_index=ignored, labels=labels)


FAULTS: dict[str, tuple[str, Callable[..., Any], dict[str, Any]]] = {
    "rows that do not count, counted": ("where", lambda c, x, y: x, {}),
    "a coarse sum over the classes": ("total", lambda x, dim, *_, **__: x.float().sum(dim).double(),
                                      {"label_smoothing": 0.1}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "fault", "how"), FAULTS.values(), ids=list(FAULTS))
def test_a_planted_fault_is_caught(
    name: str, fault: Callable[..., Any], how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = LABELS.clip(min=0)
    where = functional if name == "total" else torch
    require_caught(lambda: check(labels=labels, ignore_index=6, **how), lambda: monkeypatch.setattr(where, name, fault))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_1_change_no_bit(reduction: Any, dtype: torch.dtype) -> None:
    labels = LABELS.clip(min=0)
    found = []
    for how in ({}, {"weight": torch.ones(7)}, {"ignore_index": 4}):  # 4 is none of the labels, but between them
        z = logits().detach().to(dtype).requires_grad_()
        loss = exact.cross_entropy(z, labels, reduction, **how)
        found.append((loss.detach(), *torch.autograd.grad(loss.sum(), z)))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_rows_that_do_not_count_are_as_if_they_were_not_there() -> None:
    z, there = logits(), LABELS != -100
    z.data[~there] *= 1e3
    loss = exact.cross_entropy(z, LABELS, "none")
    [g] = torch.autograd.grad(loss.sum(), z)
    assert torch.equal(loss[there], exact.cross_entropy(z[there], LABELS[there], "none"))
    assert loss[~there].item() == g[~there].abs().max().item() == 0.0


def test_seeds_stay_apart() -> None:
    z = torch.stack([logits().detach(), logits().detach() * 40]).requires_grad_()
    labels = torch.stack([LABELS, LABELS.flip(0)])
    both = exact.cross_entropy(z, labels, weight=WEIGHT, label_smoothing=0.1)
    g = torch.autograd.grad(both.sum(), z)[0]
    for i in range(2):
        alone = z[i].detach().requires_grad_()
        loss = exact.cross_entropy(alone, labels[i], weight=WEIGHT, label_smoothing=0.1)
        assert torch.equal(loss, both[i])
        assert torch.equal(torch.autograd.grad(loss, alone)[0], g[i])


def test_labels_of_a_byte_are_not_below_0() -> None:
    z = torch.zeros(1, 200, dtype=F64)
    label = torch.tensor([156], dtype=torch.uint8)  # -100 in a byte
    assert exact.cross_entropy(z, label).item() == pytest.approx(torch.tensor(200.0).log().item(), rel=1e-6)
    with pytest.raises(ValueError, match="have no mean"):
        exact.cross_entropy(z, label, ignore_index=156)


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a smoothing above 1": ({"label_smoothing": 1.5}, ValueError, "label_smoothing is 1.5, but must be a number from"),
    "a smoothing that is none": ({"label_smoothing": torch.nan}, ValueError, "label_smoothing is nan"),
    "a weight for other classes": ({"weight": torch.ones(6)}, ValueError, "the weight is [6], but must be [7]"),
    "a list of weights": ({"weight": [1.0] * 7}, TypeError, "the weight is no tensor"),
    "whole weights": ({"weight": torch.ones(7).long()}, TypeError, "the weight is torch.int64"),
    "endless weights": ({"weight": torch.full((7,), torch.inf)}, exact.NonFinite, "NaN or infinity in the weight"),
    "no weight at all": ({"weight": torch.zeros(7)}, ValueError, "no rows that count, or rows without weight, have no"),
}


@pytest.mark.parametrize(("how", "error", "said"), WRONG.values(), ids=list(WRONG))
def test_a_mistake_is_one_sentence(how: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        exact.CrossEntropyLoss(**how)(logits(), LABELS)
    assert said in str(caught.value)


def test_the_weight_goes_where_the_model_goes() -> None:
    loss = exact.CrossEntropyLoss(WEIGHT.float())
    assert [w.dtype for w in loss.double().buffers()] == [F64]
    assert list(loss.state_dict()) == ["weight"]
    assert not exact.CrossEntropyLoss().state_dict()


def test_its_bits() -> None:
    z = logits()
    loss = exact.cross_entropy(z, LABELS, weight=WEIGHT, label_smoothing=0.1)
    assert exact.digest({"loss": loss, "g": torch.autograd.grad(loss, z)[0]})[:16] == "13b2e40a5ceae46d"
