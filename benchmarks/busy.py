"""What a step of the network costs on an idle machine and beside other work, by how long waiting threads spin.

OpenMP's threads spin while they wait for each other, and where another program has their core they wait long. The
setting is read when the library is loaded, so each measurement is a process of its own; the ways take turns, idle and
then with a busy loop on each core, and each round gives one ratio.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tqdm import tqdm

from samebits.base.params import load
from samebits.learning.arithmetic import arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.initial import first_layers

ROUNDS, STEPS, SEEDS = 5, 30, (1, 3)
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
    """Print the median ms of a step, exact, for each number of seeds."""
    block, ops = load().mlp, arithmetic("exact")
    shape = (max(SEEDS), block.batch_size)
    images = torch.arange(math.prod(shape) * 784).remainder(256).to(torch.uint8).view(*shape, 28, 28)
    labels = torch.arange(math.prod(shape)).remainder(10).view(shape)
    costs = []
    for seeds in SEEDS:
        layers = first_layers([784, *block.hidden, 10], block.init_std, range(seeds))
        learner = Concise(ops, network(ops, layers), block.lr, block.momentum)
        times = []
        for _ in range(STEPS):
            start = time.perf_counter()
            learner.step(images[:seeds], labels[:seeds])
            times.append(1000 * (time.perf_counter() - start))
        costs.append(statistics.median(times[STEPS // 3 :]))
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
    times: dict[tuple[int, int], Times] = {(seeds, loops): {} for loops in (0, cores) for seeds in SEEDS}
    for _ in tqdm(range(ROUNDS), desc="a step of the network, idle and busy", unit="round"):
        for loops in (0, cores):
            for way, settings in WAYS.items():
                with busy(loops):
                    for seeds, cost in zip(SEEDS, measured(settings), strict=True):
                        times[seeds, loops].setdefault(way, []).append(cost)
    for (seeds, loops), costs in times.items():
        print(f"a step, {seeds} seeds side by side, {loops} busy loops on {cores} cores: median ms; times ours (range)")
        for way, row in costs.items():
            ratios = [a / b for a, b in zip(row, costs[DEFAULT], strict=True)]
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"  {way:26} {statistics.median(row):7.1f}  {ratio}")


if __name__ == "__main__":
    steps() if sys.argv[1:] == ["steps"] else main()
