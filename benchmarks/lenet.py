"""What a step of LeNet costs exactly, beside torch's own convolutions in float32: `make bench`.

Each measurement is a process of its own, with one thread, as this processor is and held to AVX2; the two take turns.
"""

import statistics
import sys
import time
from typing import Any, cast

import torch

from benchmarks.epoch import measured, processor
from networks.lenet import network
from samebits import exact
from samebits.exact.integers.products import route
from samebits.learning.arithmetic import Name, arithmetic
from samebits.learning.layers import described, first_network, library

ROUNDS, STEPS, BATCH = 11, 4, 256
LR, MOMENTUM = 0.1, 0.9
GOALS = {True: 1.5, False: 2.5}  # times float32 autograd, with int8 products (VNNI) and without


class LeNet:
    """A network in training."""

    def __init__(self, name: Name) -> None:
        ops = arithmetic(name)
        layers, make = cast(Any, library(ops)), cast(Any, network)
        optimizers = torch.optim if name == "float32" else exact
        self.net = first_network(described(make(layers, (28, 28), 10), ops), ops, None, 0)
        self.loss, self.optimizer = layers.CrossEntropyLoss(), optimizers.SGD(self.net.parameters(), LR, MOMENTUM)

    def steps(self) -> float:
        """Take some; return the ms of one."""
        images = torch.randint(0, 256, (BATCH, 28, 28), dtype=torch.uint8) * (torch.rand(BATCH, 28, 28) < 0.19)
        labels = torch.randint(0, 10, (BATCH,))
        start = time.perf_counter()
        for _ in range(STEPS):
            self.optimizer.zero_grad()
            self.loss(self.net(images), labels).backward()
            self.optimizer.step()
        return 1000 * (time.perf_counter() - start) / STEPS


def measure() -> None:
    """Print what a step costs in this process."""
    if why := exact.prepare():
        print(f"note: {why}: exact is in plain operations here")
    by_float32, exactly = LeNet("float32"), LeNet("exact")
    rounds = []
    for i in range(ROUNDS + 1):
        first, second = (by_float32, exactly) if i % 2 else (exactly, by_float32)
        times = {first: first.steps(), second: second.steps()}
        rounds.append((times[by_float32], times[exactly]))
    rounds = rounds[1:]  # nobody pays for a first time
    ratios = [mine / base for base, mine in rounds]
    base, mine, ratio = map(statistics.median, (*zip(*rounds, strict=True), ratios))
    taken = route(torch.device("cpu")).name
    goal = GOALS[taken == "int8"]
    print(f"  LeNet, a step of {BATCH} images, one thread; exact products are of {taken}; medians of {ROUNDS} rounds")
    print(f"    float32 autograd {base:.1f} ms, exact {mine:.1f} ms, times float32: {ratio:.2f}", end=" ")
    print(f"({min(ratios):.2f} to {max(ratios):.2f})  goal {goal}: {'reached' if ratio <= goal else 'MISSED'}")


def main() -> None:
    """Measure with one thread."""
    print(f"{processor()}, torch {torch.__version__}")
    measured("benchmarks.lenet", "1")


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
