"""What others published for models of these kinds: to see whether the figures here are in the right place.

Their data are the same, their training is not: other losses, penalties, preparation and stopping.
"""

from dataclasses import dataclass

LECUN = "LeCun, Bottou, Bengio, Haffner (1998), Gradient-Based Learning Applied to Document Recognition"
XIAO = "Xiao, Rasul, Vollgraf (2017), Fashion-MNIST, table 3"


@dataclass(frozen=True)
class Published:
    """One published test accuracy, a share of 1."""

    dataset: str
    model: str
    accuracy: float
    source: str


FIGURES = (
    Published("fashion_mnist", "logistic regression, one against the rest, L1 penalty", 0.842, XIAO),
    Published("fashion_mnist", "network 784-100-10, ReLU", 0.871, XIAO),
    Published("mnist", "logistic regression, one against the rest, L1 penalty", 0.917, XIAO),
    Published("mnist", "network 784-100-10, ReLU", 0.972, XIAO),
    Published("mnist", "linear classifier (one layer)", 0.88, LECUN),
    Published("mnist", "network 784-300-10, squared error", 0.953, LECUN),
    Published("mnist", "network 784-300-100-10, squared error", 0.9695, LECUN),
)
