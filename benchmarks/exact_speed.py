"""Exact training beside float32 autograd in alternating blocks: `python -m benchmarks.exact_speed`."""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from stages import exact

MODELS = {
    "softmax regression 784-10, batch 256": ((784, 10), 256, 0.1, 0.0),
    "network 784-520-320-240-120-10, batch 64": ((784, 520, 320, 240, 120, 10), 64, 0.01, 0.5),
}


def network(widths: tuple[int, ...], layer: Callable[[int, int, int], nn.Module]) -> nn.Sequential:
    """Linear layers with ReLU between."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [layer(a, b, i), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def trainer(model: nn.Module, loss: nn.Module, optimiser: exact.SGD | torch.optim.Optimizer,
            images: Tensor, labels: Tensor, batch: int) -> Callable[[int], None]:  # fmt: skip
    """A function that trains some steps on resident tensors."""
    order = exact.permutation(len(labels), 0, "order").split(batch)[:-1]
    place = 0

    def train(steps: int) -> None:
        nonlocal place
        for _ in range(steps):
            rows = order[place % len(order)]
            place += 1
            optimiser.zero_grad()
            loss(model(images.index_select(0, rows)), labels.index_select(0, rows)).backward()
            optimiser.step()

    return train


def main() -> None:
    """Print the median milliseconds per step of both and the median of their paired ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=15)
    blocks = parser.parse_args().blocks
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter  # the first ignores neighbours
    pixels = exact.random.draws(20000 * 98, 0, "pixels").view("uint8").reshape(20000, 784)
    images, labels = torch.from_numpy(pixels), torch.arange(20000) % 10
    for name, (widths, batch, lr, momentum) in MODELS.items():
        ours = network(widths, lambda a, b, i: exact.Linear(a, b, tag=f"layer {i}"))
        plain = network(widths, lambda a, b, i: nn.Linear(a, b))
        slow = trainer(
            ours, exact.CrossEntropyLoss(), exact.SGD(ours.parameters(), lr, momentum), images, labels, batch
        )
        fast = trainer(plain, nn.CrossEntropyLoss(), torch.optim.SGD(plain.parameters(), lr, momentum),
                       images.float() / 255, labels, batch)  # fmt: skip
        steps = 100 if len(widths) == 2 else 20
        times: dict[str, list[float]] = {"exact": [], "float32": []}
        for block in range(blocks + 1):
            for kind, train in (("exact", slow), ("float32", fast)):
                start = clock()
                train(steps)
                if block:
                    times[kind].append((clock() - start) / steps * 1000)
        ratios = sorted(a / b for a, b in zip(*times.values(), strict=True))
        medians = {kind: statistics.median(t) for kind, t in times.items()}
        print(f"{name}, {torch.get_num_threads()} thread(s): exact {medians['exact']:.3f} ms, "
              f"float32 {medians['float32']:.3f} ms; ratio {statistics.median(ratios):.2f} "
              f"({ratios[blocks // 4]:.2f} to {ratios[3 * blocks // 4]:.2f}, n={blocks})")  # fmt: skip


if __name__ == "__main__":
    main()
