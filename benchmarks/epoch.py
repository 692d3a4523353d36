"""What an epoch costs in float32, exactly, and in the notes' own loop: `make bench`.

The notes' loop turns images into tensors one by one in a DataLoader; ours keeps the set resident as uint8. Times on
a shared machine wander, so the ways take turns, in one process and one order of the images, and each round gives one
ratio: read the median and the range.
"""

import statistics
import time
from collections.abc import Callable
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor
from tqdm import trange

from samebits.base.params import Training, load
from samebits.datasets.split import Split
from samebits.learning.arithmetic import arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.initial import first_layers, order
from samebits.learning.scratch import Scratch
from samebits.learning.training import Learner, fit

ROUNDS = 9
Ways = dict[str, Callable[[], None]]


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


def notes_epoch(split: Split, block: Training) -> None:
    """Train softmax regression for one epoch the way the notes do."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    loss, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), block.lr)
    visits = order(len(split.labels), seed=0, epoch=1).tolist()
    for X, y in DataLoader(OneByOne(split), block.batch_size, sampler=visits):
        optimizer.zero_grad()
        loss(net(X), y).backward()
        optimizer.step()


def our_epoch(
    name: Literal["exact", "float32"], split: Split, block: Training, seeds: int = 1, by_hand: bool = False
) -> None:
    """Train this project's models, side by side, for one epoch in the named arithmetic."""
    ops = arithmetic(name)
    layers = first_layers([784, *block.hidden, 10], block.init_std, range(seeds))
    if name == "float32" and seeds == 1:  # nn.Linear as everybody uses it, without an axis of seeds
        layers = [(weight[0], bias[0]) for weight, bias in layers]
    learner: Learner = Concise(ops, network(ops, layers), block.lr, block.momentum)
    if by_hand:
        learner = Scratch(ops, *layers[0], block.lr, block.momentum)
    for _ in fit(ops, learner, {"train": split}, block, range(seeds), name="bench"):
        pass


def seconds(function: Callable[[], None]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(title: str, ways: Ways, shares: dict[str, int] | None = None) -> None:
    """Let the ways take turns; print each one's median time and its ratio to the others before it.

    With `shares`, a way's time is divided by its share, say its number of seeds.
    """
    for epoch in ways.values():
        epoch()  # nobody pays for a first time
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in trange(ROUNDS, desc=title, unit="round"):
        for name, epoch in ways.items():
            times[name].append(seconds(epoch) / (shares or {}).get(name, 1))
    print(f"{title}; {torch.get_num_threads()} threads; {ROUNDS} rounds: median; median ratio (range)")
    names = list(ways)
    for i, name in enumerate(names):
        print(f"  {name:22} {1000 * statistics.median(times[name]):6.0f} ms")
        for other in names[:i]:
            ratios = [a / b for a, b in zip(times[name], times[other], strict=True)]
            print(f"    {statistics.median(ratios):7.3f} ({min(ratios):.3f} to {max(ratios):.3f}) times {other}")


def main() -> None:
    """Compare on random images of 28 x 28, with the batch sizes and rates of params.yaml."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60_000, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (60_000,), dtype=torch.uint8, generator=generator)
    whole, part = Split(images, labels), Split(images[:12_000], labels[:12_000])
    concise, mlp = (block.model_copy(update={"epochs": 1}) for block in (load().concise, load().mlp))
    compare(
        "softmax regression, an epoch of 60,000 images",
        {
            "notes' DataLoader loop": lambda: notes_epoch(whole, concise),
            "float32 autograd": lambda: our_epoch("float32", whole, concise),
            "exact, modules": lambda: our_epoch("exact", whole, concise),
            "exact, by hand": lambda: our_epoch("exact", whole, concise, by_hand=True),
            "exact, a seed of ten": lambda: our_epoch("exact", whole, concise, seeds=10),
        },
        {"exact, a seed of ten": 10},
    )
    compare(
        "network, an epoch of 12,000 images",
        {
            "float32 autograd": lambda: our_epoch("float32", part, mlp),
            "exact, modules": lambda: our_epoch("exact", part, mlp),
            "exact, a seed of three": lambda: our_epoch("exact", part, mlp, seeds=3),
        },
        {"exact, a seed of three": 3},
    )
    counts = {f"a seed of {n}": n for n in (1, 4, 16, 64)}
    compare(
        "softmax regression, exact, an epoch of 12,000 images, by the number of seeds side by side",
        {name: lambda n=n: our_epoch("exact", part, concise, seeds=n) for name, n in counts.items()},  # type: ignore[misc]
        counts,
    )


if __name__ == "__main__":
    main()
