"""The figures that the four sets of notes print, through the project's own functions and through torch's."""

import math

import pytest
import torch
from torch import tensor
from torch.nn import functional as F

from samebits.learning import scratch
from samebits.learning.arithmetic import arithmetic
from samebits.report.lessons import cross_entropy, eight_rows, printed
from samebits.report.lessons.printed import numbers


@pytest.fixture(params=["float32", "wide"])
def ops(request):
    return arithmetic(request.param)


def logits(ops, values):
    return tensor(values, dtype=ops.dtype)


def by_hand(ops, Z, y):
    return scratch.cross_entropy(ops, Z, tensor(y)).tolist()


def by_library(ops, Z, y):
    return ops.cross_entropy(Z, tensor(y), reduction="none").tolist()


def by_torch(ops, Z, y):
    return F.cross_entropy(Z, tensor(y), reduction="none").tolist()


ROUTES = pytest.mark.parametrize("cross_entropy", [by_hand, by_library, by_torch])


# A. Logits to loss


@ROUTES
@pytest.mark.parametrize("example", printed.LOGITS)
def test_logits_to_probabilities_to_loss(ops, cross_entropy, example):
    Z = logits(ops, example.rows)
    probabilities = pytest.approx(numbers(example.probabilities[0]), abs=5e-5)
    assert scratch.softmax(ops, Z)[0].tolist() == probabilities
    assert ops.softmax(Z)[0].tolist() == probabilities
    assert cross_entropy(ops, Z, example.labels) == pytest.approx([float(example.loss)], abs=5e-5)


def test_table_of_surprisal(ops):
    p = logits(ops, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert (-ops.log(p)).tolist() == pytest.approx(numbers(printed.SURPRISAL[1:]), abs=5e-5)


@ROUTES
def test_a_classifier_that_knows_nothing_loses_log_of_the_classes(ops, cross_entropy):
    assert cross_entropy(ops, logits(ops, [[0.0] * 10] * 3), [0, 4, 9]) == pytest.approx([2.302585] * 3, abs=1e-6)


def test_a_linear_layer_acts_on_the_last_dimension(ops):
    layer = ops.Linear(4, 3)
    assert layer(torch.zeros(5, 4, dtype=ops.dtype)).shape == (5, 3)
    assert layer.weight.shape == (3, 4)


# B. Ten outputs, cross entropy


@pytest.mark.parametrize("example", printed.ONE_HOT)
def test_one_hot_by_hand(example):
    (probabilities,), loss = example.rows, float(example.loss)
    by_math = -sum(y * math.log(p) for y, p in zip([1, 0, 0], probabilities, strict=True))
    assert by_math == pytest.approx(loss, abs=1e-15)
    P = tensor([probabilities], dtype=torch.float64)
    picked = scratch.pick(P, tensor([0]))
    assert -arithmetic("wide").log(picked).item() == pytest.approx(loss, abs=1e-11)


@ROUTES
@pytest.mark.parametrize(
    ("example", "tolerance"), list(zip(printed.FROM_LOGITS, [5e-6, 5e-7, 2.4e-7, 2.4e-7], strict=True))
)
def test_cross_entropy_from_logits(ops, cross_entropy, example, tolerance):
    losses = cross_entropy(ops, logits(ops, example.rows), example.labels)
    assert sum(losses) / len(losses) == pytest.approx(float(example.loss), abs=tolerance)


@ROUTES
def test_one_loss_three_ways(ops, cross_entropy):
    example, by_logits = printed.THREE_WAYS, float(printed.BY_LOGITS)
    Z = logits(ops, example.rows)
    assert scratch.softmax(ops, Z)[0].tolist() == pytest.approx(numbers(example.probabilities[0]), abs=5e-5)
    assert cross_entropy(ops, Z, [3]) == pytest.approx([float(example.loss)], abs=5e-5)
    assert -1 + math.log(sum(math.exp(z) for z in example.rows[0])) == pytest.approx(by_logits, abs=1e-15)
    assert cross_entropy(ops, Z, [3]) == pytest.approx([by_logits], abs=2e-7)
    assert -math.log(0.4668) == pytest.approx(float(printed.BY_PROBABILITY), abs=1e-15)


def test_binary_cross_entropy_is_the_two_class_case(ops):
    z = logits(ops, [-3.0, -0.2, 0.0, 1.7])
    y = tensor([0, 1, 1, 0])
    two = torch.stack([torch.zeros_like(z), z], 1)
    binary = F.binary_cross_entropy_with_logits(z, y.to(z.dtype), reduction="none")
    assert by_hand(ops, two, y.tolist()) == pytest.approx(binary.tolist(), abs=3e-7)


# C. Softmax regression from scratch


def test_cross_entropy_picks_the_labels_probabilities(ops):
    y_hat, y = logits(ops, printed.PICKED[0]), tensor(printed.PICKED[1])
    assert scratch.pick(y_hat, y).tolist() == pytest.approx([0.1, 0.5])
    assert (-ops.log(scratch.pick(y_hat, y))).tolist() == pytest.approx(numbers(printed.PICKED_LOSSES), abs=5e-5)
    assert scratch.accuracy(y_hat, y) == float(printed.PICKED_ACCURACY)


@ROUTES
@pytest.mark.parametrize("size", [100.0, 1000.0])
def test_large_logits_neither_overflow_nor_underflow(ops, cross_entropy, size):
    Z = logits(ops, [[size, 0.0, -size]])
    naive = torch.exp(Z.float()) / torch.exp(Z.float()).sum()
    assert naive.isnan().any()
    assert scratch.softmax(ops, Z)[0].tolist() == pytest.approx([1, 0, 0])
    assert cross_entropy(ops, Z, [0]) == pytest.approx([0])
    assert cross_entropy(ops, Z, [1]) == pytest.approx([size])
    assert cross_entropy(ops, Z, [2]) == pytest.approx([2 * size])


def test_the_derivative_of_the_loss_is_p_minus_y(ops):
    Z = logits(ops, [[0.5, -1.0, 2.0], [0.0, 0.3, 0.1]]).requires_grad_()
    y = tensor([1, 2])
    F.cross_entropy(Z, y, reduction="sum").backward()
    expected = scratch.softmax(ops, Z.detach()) - F.one_hot(y, 3)
    assert torch.allclose(Z.grad, expected.to(ops.dtype), atol=1e-6)


# D. Low level and high level


def test_softmax_of_one_two_three(ops):
    example = printed.ONE_TWO_THREE
    P = scratch.softmax(ops, logits(ops, example.rows))
    assert P[0].tolist() == pytest.approx(numbers(example.probabilities[0]), abs=5e-5)


def test_three_by_five(ops):
    z, y = cross_entropy.drawn()
    z = z.to(ops.dtype)
    assert y.tolist() == list(printed.THREE_BY_FIVE_LABELS)
    P, log_P = ([numbers(row) for row in table] for table in (printed.THREE_BY_FIVE, printed.THREE_BY_FIVE_LOG))
    assert torch.allclose(scratch.softmax(ops, z), logits(ops, P), atol=5.1e-5)
    every_label = [[-loss for loss in by_hand(ops, z, [label] * 3)] for label in range(5)]
    assert torch.allclose(logits(ops, every_label).T, logits(ops, log_P), atol=5.1e-5)
    one_hot = F.one_hot(y, 5)
    three_forms = [
        -(one_hot * ops.log(ops.softmax(z))).sum(1).mean().item(),
        F.nll_loss(F.log_softmax(z, 1), y).item(),
        sum(by_hand(ops, z, y.tolist())) / 3,
    ]
    assert three_forms[0] == pytest.approx(float(printed.THREE_BY_FIVE_COST), abs=5e-5)
    assert three_forms == pytest.approx([three_forms[0]] * 3, abs=4e-7)


def test_eight_rows(ops):
    costs = eight_rows.costs(ops)
    assert costs[:: printed.EVERY] == pytest.approx(
        numbers(printed.COSTS), abs=3e-7 if ops.dtype == torch.float32 else 2e-6
    )
