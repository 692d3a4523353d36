"""A small network of every layer that there is, trained on pictures; what `small` trains, but for its layers."""

import torch
from torch import Tensor, nn

from samebits import exact
from tests.made import small

DATA = small.data()


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Of 14 x 14 pixels."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 14, 14)),
        exact.Conv2d(1, 6, 3, padding=1, tag="layer 1", dtype=dtype),
        exact.BatchNorm2d(6, dtype=dtype),
        exact.ReLU(),
        exact.MaxPool2d(3, 2, 1),
        exact.Conv2d(6, 8, 3, groups=2, tag="layer 2", dtype=dtype),
        exact.ReLU(),
        exact.AvgPool2d(2, 1),
        exact.Flatten(),
        exact.LayerNorm(8 * 16, dtype=dtype),
        exact.Dropout(0.2, tag="layer 3"),
        exact.Linear(8 * 16, 20, tag="layer 4", dtype=dtype),
        exact.BatchNorm1d(20, dtype=dtype),
        exact.ReLU(),
        exact.Linear(20, 10, tag="layer 5", dtype=dtype),
    )


def trained(dtype: torch.dtype = torch.float32, device: str = "cpu") -> dict[str, Tensor]:
    """What it has learned after an epoch, and its logits in evaluation."""
    model, (pixels, labels) = network(dtype).to(device), (x.to(device) for x in DATA)
    small.train(model, exact.SGD(model.parameters(), 0.1, 0.9), exact.CrossEntropyLoss(), range(1), pixels, labels)
    return {**model.state_dict(), "logits": model.eval()(pixels[:100]).detach()}


def digests() -> list[str]:
    """In float32, which trains on integers, and in float64."""
    return [exact.digest(trained(dtype)) for dtype in (torch.float32, torch.float64)]
