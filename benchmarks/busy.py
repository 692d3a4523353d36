"""What a step of the network costs on an idle machine and beside other work, by how long waiting threads spin.

OpenMP's threads spin while they wait for each other, and where another program has their core they wait long. Exact
training has no such threads, one for each seed in their place; float32 has. The setting is read when the library is
loaded, so each measurement is a process of its own; the ways take turns, idle and then with a busy loop on each core,
and each round gives one ratio.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tqdm import tqdm

from samebits import exact
from samebits.base.params import load
from samebits.learning.arithmetic import Name, arithmetic
from samebits.learning.concise import network
from samebits.learning.fused import quickest
from samebits.learning.initial import first_layers

ROUNDS, STEPS = 3, 10
SECONDS = 1.0  # of each model: several turns of the system's scheduler
MODELS: dict[str, tuple[Name, int]] = {  # arithmetic, seeds side by side
    "exact, one seed": ("exact", 1), "exact, three seeds": ("exact", 3), "float32, one seed": ("float32", 1),
}  # fmt: skip
DEFAULT = "GOMP_SPINCOUNT=1000 (ours)"
WAYS = {
    DEFAULT: {},
    "GOMP_SPINCOUNT=300": {"GOMP_SPINCOUNT": "300"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "the library's own": {"OMP_WAIT_POLICY": ""},  # an empty one counts as the user's, and says nothing
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
Times = dict[str, list[float]]  # by way, one for each round


def steps() -> None:
    """Print the mean ms of a step of each model."""
    exact.prepare()
    block, costs = load().mlp, []
    count = STEPS * block.batch_size
    images = torch.arange(count * 784).remainder(256).to(torch.uint8).view(count, 28, 28)
    labels = torch.arange(count).remainder(10)
    for name, seeds in MODELS.values():
        ops, layers = arithmetic(name), first_layers([784, *block.hidden, 10], block.init_std, range(seeds))
        learner = quickest(ops, network(ops, layers), block.lr, block.momentum)
        visits, epochs = torch.arange(count).expand(seeds, count), 0
        learner.epoch(images, labels, visits, block.batch_size)  # nobody pays for a first time
        start = time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            learner.epoch(images, labels, visits, block.batch_size)
            epochs += 1
        costs.append(1000 * (time.perf_counter() - start) / (epochs * STEPS))
    print(json.dumps(costs))


def measured(settings: dict[str, str]) -> list[float]:
    """Those of a process with these settings."""
    environ = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    line = [sys.executable, "-m", "benchmarks.busy", "steps"]
    costs: list[float] = json.loads(subprocess.check_output(line, env={**environ, **settings}))
    return costs


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many loops beside."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for loop in running:
            loop.kill()


def main() -> None:
    """Let the ways take turns; print each one's median ms, idle and busy, and its ratio to ours."""
    cores = os.cpu_count() or 1
    times: dict[tuple[str, int], Times] = {(model, loops): {} for loops in (0, cores) for model in MODELS}
    for _ in tqdm(range(ROUNDS), desc="a step of the network, idle and busy", unit="round"):
        for loops in (0, cores):
            for way, settings in WAYS.items():
                with busy(loops):
                    for model, cost in zip(MODELS, measured(settings), strict=True):
                        times[model, loops].setdefault(way, []).append(cost)
    for (model, loops), costs in times.items():
        print(f"a step, {model}, {loops} busy loops on {cores} cores: median ms; times ours (range)")
        for way, row in costs.items():
            ratios = [a / b for a, b in zip(row, costs[DEFAULT], strict=True)]
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"  {way:26} {statistics.median(row):7.1f}  {ratio}")


if __name__ == "__main__":
    steps() if sys.argv[1:] == ["steps"] else main()
