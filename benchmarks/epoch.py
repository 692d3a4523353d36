"""One epoch of softmax regression three ways, in turn, on 60,000 images of 28 x 28: `make bench`.

The notes' loop turns images into tensors one by one in a DataLoader; ours keeps the set resident as uint8. Times on
a shared machine wander, so the ways take turns and each round gives one ratio; read the median and the spread.
"""

import statistics
import time
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor
from tqdm import trange

from stages.datasets.arrays import Split
from stages.learning.arithmetic import arithmetic
from stages.learning.concise import Concise, network
from stages.learning.initial import weights
from stages.learning.training import fit
from stages.params import Softmax

IMAGES, BATCH, ROUNDS = 60_000, 256, 7
BLOCK = Softmax(seeds=[0], epochs=1, batch_size=BATCH, lr=0.1, momentum=0.0, init_std=0.01, hidden=[])


class Loaded(Dataset[tuple[Tensor, int]]):
    """Images one by one, as the notes' loader reads them: array to picture to tensor."""

    def __init__(self, split: Split):
        self.images, self.labels, self.transform = split.images.numpy(), split.labels.tolist(), ToTensor()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        """Return one image, float32 [1, H, W], and its label."""
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def notes_epoch(split: Split) -> None:
    """Train one epoch the way the notes do."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    loss, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1)
    for X, y in DataLoader(Loaded(split), BATCH, shuffle=True):
        optimizer.zero_grad()
        loss(net(X), y).backward()
        optimizer.step()


def our_epoch(name: str, split: Split) -> None:
    """Train one epoch with this project's `concise` in the named arithmetic."""
    ops = arithmetic(name)  # type: ignore[arg-type]
    learner = Concise(ops, network(ops, weights([784, 10], 0.01, seed=0)), BLOCK.lr, BLOCK.momentum)
    for _ in fit(ops, learner, {"train": split}, BLOCK, seed=0, name="bench"):
        pass


def seconds(function: Callable[[], None]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Print each way's median time and its ratio to the notes' loop and to float32, with n and range."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 28, 28), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.randint(0, 10, (IMAGES,), dtype=torch.uint8, generator=generator))
    ways = {
        "notes' loop, DataLoader": lambda: notes_epoch(split),
        "float32, resident": lambda: our_epoch("float32", split),
        "exact, resident": lambda: our_epoch("exact", split),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in trange(ROUNDS, unit="round"):
        for name, epoch in ways.items():
            times[name].append(seconds(epoch))
    threads = torch.get_num_threads()
    print(f"softmax regression, an epoch of {IMAGES} images, batch {BATCH}; {threads} threads, n = {ROUNDS}")
    for name, own in times.items():
        print(f"{name:24} {1000 * statistics.median(own):6.0f} ms", end="")
        for other in list(ways)[:2]:
            r = [a / b for a, b in zip(own, times[other], strict=True)]
            print(f"   {statistics.median(r):6.3f} ({min(r):.3f} to {max(r):.3f}) of {other}", end="")
        print()


if __name__ == "__main__":
    main()
