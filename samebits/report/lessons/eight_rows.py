"""Learning eight rows of four numbers (notes D)."""

import functools

import torch
from torch import nn, tensor

from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import Concise, network
from samebits.report.lessons import printed
from samebits.report.lessons.beside import OPS


@functools.cache
def learned() -> tuple[float, ...]:
    """Return the costs in exact arithmetic; its thousand steps are taken once, however many reports are made."""
    return tuple(costs(OPS))


def costs(ops: Arithmetic) -> list[float]:
    """Return the cost before each of D's 1,001 steps, from torch's first weights with seed 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        start = nn.Linear(4, 3)
    net = network(ops, [(start.weight.detach(), start.bias.detach())])
    learner = Concise(ops, net, lr=0.1, momentum=0.0)
    x = tensor(printed.EIGHT_ROWS, dtype=ops.dtype).view(8, 2, 2)  # the network takes images
    y = tensor(printed.EIGHT_LABELS)
    return [learner.step(x, y)[0].item() for _ in range(1 + printed.EVERY * (len(printed.COSTS) - 1))]
