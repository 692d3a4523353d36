"""The figures that the four sets of notes print, through the project's own functions and through torch's."""

import math

import pytest
import torch
from torch import nn, tensor
from torch.nn import functional as F

from stages.learning import scratch
from stages.learning.arithmetic import arithmetic
from stages.learning.concise import Concise, network


@pytest.fixture(params=["float32", "exact"])
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
@pytest.mark.parametrize(
    ("row", "probabilities", "loss"),
    [
        ([0.0, 0.0, 5.0, 0.0], [0.0066, 0.0066, 0.9802, 0.0066], 0.0200),
        ([1.0, 1.1, 1.0, 1.0], [0.2436, 0.2692, 0.2436, 0.2436], 1.4122),
    ],
)
def test_logits_to_probabilities_to_loss(ops, cross_entropy, row, probabilities, loss):
    Z = logits(ops, [row])
    assert scratch.softmax(ops, Z)[0].tolist() == pytest.approx(probabilities, abs=5e-5)
    assert ops.softmax(Z)[0].tolist() == pytest.approx(probabilities, abs=5e-5)
    assert cross_entropy(ops, Z, [2]) == pytest.approx([loss], abs=5e-5)


def test_table_of_surprisal(ops):
    p = logits(ops, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    printed = [2.3026, 1.6094, 1.2040, 0.9163, 0.6931, 0.5108, 0.3567, 0.2231, 0.1054, 0]
    assert (-ops.log(p)).tolist() == pytest.approx(printed, abs=5e-5)


@ROUTES
def test_a_classifier_that_knows_nothing_loses_log_of_the_classes(ops, cross_entropy):
    assert cross_entropy(ops, logits(ops, [[0.0] * 10] * 3), [0, 4, 9]) == pytest.approx([2.302585] * 3, abs=1e-6)


def test_a_linear_layer_acts_on_the_last_dimension(ops):
    layer = ops.Linear(4, 3)
    assert layer(torch.zeros(5, 4, dtype=ops.dtype)).shape == (5, 3)
    assert layer.weight.shape == (3, 4)


# B. Ten outputs, cross entropy


@pytest.mark.parametrize(
    ("probabilities", "loss"), [([0.7, 0.2, 0.1], 0.35667494393873245), ([0.1, 0.3, 0.6], 2.3025850929940455)]
)
def test_one_hot_by_hand(probabilities, loss):
    assert -sum(y * math.log(p) for y, p in zip([1, 0, 0], probabilities, strict=True)) == pytest.approx(
        loss, abs=1e-15
    )
    P = tensor([probabilities], dtype=torch.float64)
    picked = scratch.pick(P, tensor([0]))
    assert -arithmetic("exact").log(picked).item() == pytest.approx(loss, abs=1e-11)


@ROUTES
@pytest.mark.parametrize(
    ("rows", "labels", "loss", "tolerance"),
    [
        ([[2.0, 1.0, 0.1]], [0], 0.41703, 5e-6),
        ([[0.5, 2.0, 0.3]], [0], 1.8406162, 5e-7),
        ([[0.1, 0.2, 0.9], [1.1, 0.1, 0.2], [0.2, 2.1, 0.1]], [2, 0, 1], 0.4966353, 2.4e-7),
        ([[0.8, 0.2, 0.3], [0.2, 0.3, 0.5], [0.2, 0.2, 0.5]], [2, 0, 1], 1.2388996, 2.4e-7),
    ],
)
def test_cross_entropy_from_logits(ops, cross_entropy, rows, labels, loss, tolerance):
    losses = cross_entropy(ops, logits(ops, rows), labels)
    assert sum(losses) / len(losses) == pytest.approx(loss, abs=tolerance)


@ROUTES
def test_one_loss_three_ways(ops, cross_entropy):
    Z = logits(ops, [[0.1, 0.0, 0.0, 1.0]])
    assert scratch.softmax(ops, Z)[0].tolist() == pytest.approx([0.1898, 0.1717, 0.1717, 0.4668], abs=5e-5)
    assert cross_entropy(ops, Z, [3]) == pytest.approx([0.7619], abs=5e-5)
    assert -1 + math.log(sum(math.exp(z) for z in [0.1, 0, 0, 1])) == pytest.approx(0.7618933412552511, abs=1e-15)
    assert cross_entropy(ops, Z, [3]) == pytest.approx([0.7618933412552511], abs=2e-7)
    assert -math.log(0.4668) == pytest.approx(0.7618543785697361, abs=1e-15)


def test_binary_cross_entropy_is_the_two_class_case(ops):
    z = logits(ops, [-3.0, -0.2, 0.0, 1.7])
    y = tensor([0, 1, 1, 0])
    two = torch.stack([torch.zeros_like(z), z], 1)
    binary = F.binary_cross_entropy_with_logits(z, y.to(z.dtype), reduction="none")
    assert by_hand(ops, two, y.tolist()) == pytest.approx(binary.tolist(), abs=3e-7)


# C. Softmax regression from scratch


def test_cross_entropy_picks_the_labels_probabilities(ops):
    y = tensor([0, 2])
    y_hat = logits(ops, [[0.1, 0.3, 0.6], [0.3, 0.3, 0.5]])
    assert scratch.pick(y_hat, y).tolist() == pytest.approx([0.1, 0.5])
    assert (-ops.log(scratch.pick(y_hat, y))).tolist() == pytest.approx([2.3026, 0.6931], abs=5e-5)
    assert scratch.accuracy(y_hat, y) == 0.5


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
    Z = logits(ops, [[1.0, 2.0, 3.0]])
    assert scratch.softmax(ops, Z)[0].tolist() == pytest.approx([0.0900, 0.2447, 0.6652], abs=5e-5)


def test_three_by_five(ops):
    torch.manual_seed(1)
    z = [torch.rand(3, 5) for _ in range(3)][2].to(ops.dtype)
    y = [torch.randint(5, (3,)) for _ in range(5)][4]
    assert y.tolist() == [4, 2, 3]
    P = [
        [0.2128, 0.2974, 0.2574, 0.1173, 0.1150],
        [0.1486, 0.2933, 0.1740, 0.2342, 0.1499],
        [0.2880, 0.1427, 0.2565, 0.1774, 0.1355],
    ]
    log_P = [
        [-1.5474, -1.2128, -1.3570, -2.1426, -2.1624],
        [-1.9067, -1.2264, -1.7488, -1.4515, -1.8979],
        [-1.2449, -1.9471, -1.3606, -1.7296, -1.9989],
    ]
    assert torch.allclose(scratch.softmax(ops, z), logits(ops, P), atol=5.1e-5)
    every_label = [[-loss for loss in by_hand(ops, z, [label] * 3)] for label in range(5)]
    assert torch.allclose(logits(ops, every_label).T, logits(ops, log_P), atol=5.1e-5)
    one_hot = F.one_hot(y, 5)
    three_forms = [
        -(one_hot * ops.log(ops.softmax(z))).sum(1).mean().item(),
        F.nll_loss(F.log_softmax(z, 1), y).item(),
        sum(by_hand(ops, z, y.tolist())) / 3,
    ]
    assert three_forms[0] == pytest.approx(1.8803, abs=5e-5)
    assert three_forms == pytest.approx([three_forms[0]] * 3, abs=4e-7)


EIGHT_ROWS = (
    [[1, 2, 1, 1], [2, 1, 3, 2], [3, 1, 3, 4], [4, 1, 5, 5], [1, 7, 5, 5], [1, 2, 5, 6], [1, 6, 6, 6], [1, 7, 7, 7]],
    [2, 2, 2, 1, 1, 1, 0, 0],
)
COSTS = [
    1.6167852878570557,
    0.6588907837867737,
    0.5734434723854065,
    0.5181514024734497,
    0.47326546907424927,
    0.4335159659385681,
    0.3965628743171692,
    0.36091411113739014,
    0.3253922164440155,
    0.28917840123176575,
    0.25414788722991943,
]


def test_eight_rows(ops):
    torch.manual_seed(1)
    start = nn.Linear(4, 3)
    net = network(ops, [(start.weight.detach().to(ops.dtype), start.bias.detach().to(ops.dtype))])
    learner = Concise(ops, net, lr=0.1, momentum=0.0)
    x, y = logits(ops, EIGHT_ROWS[0]).view(8, 2, 2), tensor(EIGHT_ROWS[1])  # the network takes images
    costs = [learner.step(x, y)[0].item() for _ in range(1001)]
    assert costs[::100] == pytest.approx(COSTS, abs=3e-7 if ops.dtype == torch.float32 else 2e-6)
