"""What an epoch costs in float32, exactly, and in the notes' own loop: `make bench`.

Each measurement is a process of its own, with one thread and with two; on x86 once more held to what processors without
VNNI can do, where int8 products are not exact. Times on a shared machine wander, so the ways take turns, and each round
gives one ratio to float32 autograd, which is what everybody writes: read the median and the range.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor
from tqdm import trange

from samebits import exact
from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.params import Training, load
from samebits.datasets.split import Split, load_split
from samebits.exact.integers.products import route
from samebits.learning.arithmetic import Name, arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.fused import quickest
from samebits.learning.initial import first_layers, order
from samebits.learning.learner import Learner
from samebits.learning.scratch import Scratch

ROUNDS, SEEDS = 11, 3
STEPS = {"concise": 50, "mlp": 100}
TITLES = {"concise": "softmax regression", "mlp": "network"}
INSTRUCTIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
WITHOUT_VNNI = dict(zip(INSTRUCTIONS, ("avx2", "AVX2", "AVX2", "haswell", ""), strict=True))  # "": haswell's own
BASE, MODULES, FUSED = "float32 autograd", "exact, modules", "exact, fused"


class Way(NamedTuple):
    """An epoch, and for how many seeds."""

    epoch: Callable[[], object]
    seeds: int = 1


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Images one by one, as the notes' loader reads them: array to picture to tensor."""

    def __init__(self, split: Split):
        self.images, self.labels, self.transform = split.images.numpy(), split.labels.tolist(), ToTensor()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        """Return one image, float32 [1, H, W], and its label."""
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def notes(split: Split, block: Training) -> Way:
    """Softmax regression the way the notes train it."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    loss, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), block.lr)
    loader = DataLoader(OneByOne(split), block.batch_size, sampler=order(len(split.labels), seed=0, epoch=1).tolist())

    def epoch() -> None:
        for X, y in loader:
            optimizer.zero_grad()
            loss(net(X), y).backward()
            optimizer.step()

    return Way(epoch)


def ours(
    split: Split, block: Training, name: Name, make: Callable[..., Learner] | None = None, seeds: int | None = None
) -> Way:
    """This project's models, `seeds` side by side, in the named arithmetic; None is nn.Linear without such an axis."""
    ops, labels = arithmetic(name), split.labels.long()
    layers = first_layers([784, *block.hidden, 10], block.init_std, range(seeds or 1))
    if seeds is None:
        layers = [(weight[0], bias[0]) for weight, bias in layers]
    if make is Scratch:
        learner: Learner = Scratch(ops, *layers[0], block.lr, block.momentum)
    else:
        learner = (make or Concise)(ops, network(ops, layers), block.lr, block.momentum)
    visits = torch.stack([order(len(labels), seed, epoch=1) for seed in range(seeds or 1)])
    return Way(lambda: learner.epoch(split.images, labels, visits, block.batch_size), seeds or 1)


def ways(run: str, block: Training) -> dict[str, Way]:
    """Every way to train a run, float32 autograd first."""
    split = data(STEPS[run] * block.batch_size)
    found = {
        BASE: ours(split, block, "float32"),
        f"float32, a seed of {SEEDS} in one product": ours(split, block, "float32", seeds=SEEDS),
        MODULES: ours(split, block, "exact", seeds=1),
        FUSED: ours(split, block, "exact", quickest, seeds=1),
        f"exact, fused, a seed of {SEEDS}": ours(split, block, "exact", quickest, seeds=SEEDS),
        "wide, modules": ours(split, block, "wide", seeds=1),
    }
    if not block.hidden:
        found["exact, by hand"] = ours(split, block, "exact", Scratch, seeds=1)
        found["the notes' loop"] = notes(split, block)
    return found


def data(count: int) -> Split:
    """So many images of MNIST, or random ones of which as many pixels are zero."""
    try:
        split = load_split(paths.processed("mnist"), "train")
        return Split(split.images[:count], split.labels[:count])
    except UserError:
        images = torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8) * (torch.rand(count, 28, 28) < 0.19)
        return Split(images, torch.randint(0, 10, (count,), dtype=torch.uint8))


def goals(run: str) -> dict[str, float]:
    """What each way should cost at most, times float32 autograd."""
    if run == "concise":
        return {FUSED: 0.5}
    if torch.get_num_threads() > 1:
        return {}
    if route(torch.device("cpu")).name != "int8":
        return {FUSED: 0.95, MODULES: 1.2}
    return {FUSED: 0.3 if "AMD" in processor() else 0.45, MODULES: 0.8}


def processor() -> str:
    """What this processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def measure() -> None:
    """Print what each way to train each run costs in this process."""
    if why := exact.prepare():
        print(f"note: {why}: exact is in plain operations here")
    threads, taken = torch.get_num_threads(), route(torch.device("cpu")).name
    print(f"\n{threads} thread{'s' * (threads > 1)}; exact products are of {taken}; medians of {ROUNDS} rounds (range)")
    for run, steps in STEPS.items():
        block = load().training(run)
        title = f"{TITLES[run]}, a step of {block.batch_size} images"
        times = turns(ways(run, block), steps, title)
        print(f"  {title + ', of one seed':46}  ms  times {BASE}")
        for name, row in times.items():
            print(line(name, row, times[BASE], goals(run).get(name)), flush=True)


def turns(each: dict[str, Way], steps: int, title: str) -> dict[str, list[float]]:
    """Let the ways take turns, forwards and backwards; return each one's ms for a step of one seed, by round."""
    for way in each.values():
        way.epoch()  # nobody pays for a first time
    times: dict[str, list[float]] = {name: [] for name in each}
    for i in trange(ROUNDS, desc=title, unit="round", leave=False):
        for name, way in list(each.items())[:: 1 if i % 2 else -1]:
            start = time.perf_counter()
            way.epoch()
            times[name].append(1000 * (time.perf_counter() - start) / steps / way.seeds)
    return times


def line(name: str, row: list[float], base: list[float], goal: float | None) -> str:
    """A way's median time, its ratio in each round, and its goal."""
    text, ratios = f"    {name:42} {statistics.median(row):6.2f}", [a / b for a, b in zip(row, base, strict=True)]
    if row is base:
        return text
    ratio = statistics.median(ratios)
    text += f"  {ratio:5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return text if goal is None else f"{text}  goal {goal}: {'reached' if ratio <= goal else 'MISSED'}"


def measured(module: str, *threads: str) -> None:
    """Run `python -m MODULE measure` with so many threads each, as this processor is and held to AVX2."""
    kinds = {"as it is": {}, "held to AVX2, without VNNI": WITHOUT_VNNI}
    if platform.machine().lower() not in ("x86_64", "amd64"):
        kinds.popitem()
    for kind, settings in kinds.items():
        print(f"\nthe processor {kind}:", flush=True)
        environ = {name: value for name, value in os.environ.items() if name not in (settings and INSTRUCTIONS)}
        for count in threads:
            line = [sys.executable, "-m", module, "measure"]
            subprocess.run(line, env={**environ, **settings, "OMP_NUM_THREADS": count}, check=True)


def main() -> None:
    """Measure with one thread and with two."""
    print(f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}")
    measured("benchmarks.epoch", "1", "2")


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
