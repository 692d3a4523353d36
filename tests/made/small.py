"""A small network trained exactly and in float32; as a script it prints a hash each: float64 exactly, float32 as torch
has it, on integers by plain operations, on integers by compiled kernels; and of a network of every layer (`layers`).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact.random import draws

WIDTHS, BATCH, ROWS, LR, MOMENTUM = (196, 48, 24, 10), 64, 512, 0.3, 0.5


def data() -> tuple[Tensor, Tensor]:
    """Rows of uint8 pixels [512, 196] that lean on their class, and labels [512]."""
    noise = torch.from_numpy((draws(ROWS * 196, 0, "noise") >> 56).astype("uint8")).view(ROWS, 196)
    labels = torch.from_numpy((draws(ROWS, 0, "labels") >> 32).astype("int64")).remainder(10)
    marks = torch.from_numpy((draws(10 * 196, 0, "marks") >> 63).astype("uint8")).view(10, 196)
    return noise // 2 * marks[labels], labels


def network(seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """The network: in float64, or in float32, which trains on integers."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(WIDTHS)):
        layers += [exact.Linear(a, b, seed=seed, tag=f"layer {i}", dtype=dtype), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(model: nn.Module, optimiser: exact.SGD, loss: nn.Module, epochs: range,
          pixels: Tensor, labels: Tensor, seed: int = 0) -> None:  # fmt: skip
    """The usual loop."""
    for epoch in epochs:
        for rows in exact.permutation(len(labels), seed, f"order/{epoch}").split(BATCH):
            optimiser.zero_grad()
            loss(model(pixels[rows]), labels[rows]).backward()
            optimiser.step()


def trained(epochs: int = 3, seed: int = 0, std: float | None = None, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The network, trained exactly, from a uniform start or from a normal one with this deviation."""
    model = network(seed, dtype)
    for layer in model:
        if std and isinstance(layer, exact.Linear):
            layer.normal_(std)
    train(model, exact.SGD(model.parameters(), LR, MOMENTUM), exact.CrossEntropyLoss(), range(epochs), *data(), seed)
    return model


def both(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """What the network learns from either start."""
    starts = {"uniform": trained(dtype=dtype), "normal": trained(std=0.1, dtype=dtype)}
    return {f"{start}.{name}": x for start, model in starts.items() for name, x in model.state_dict().items()}


def control(order: Tensor | None = None) -> nn.Module:
    """The same in torch's own float32, its features perhaps in another order."""
    layers: list[nn.Module] = []
    for layer in network():
        if isinstance(layer, exact.Linear):
            plain = nn.Linear(layer.in_features, layer.out_features)
            plain.load_state_dict({k: v.float() for k, v in layer.state_dict().items()})
            layers.append(plain)
        else:
            layers.append(layer)
    model, (pixels, labels) = nn.Sequential(*layers), data()
    x, first = pixels.float() / 255, next(model.parameters())
    if order is not None:
        x = x[:, order]
        first.data = first.data[:, order]
    train(model, exact.SGD(model.parameters(), LR, MOMENTUM), nn.CrossEntropyLoss(), range(3), x, labels)
    if order is not None:
        first.data = first.data[:, order.argsort()]
    return model


if __name__ == "__main__":
    from tests.made import layers

    print(exact.digest(both()), exact.digest(control().state_dict()), exact.digest(both(torch.float32)))
    exact.prepare()  # where there is no numba, plain operations again
    print(exact.digest(both(torch.float32)))
    print(*layers.digests())
