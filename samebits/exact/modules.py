"""Layers and loss, to be put into torch.nn.Sequential beside torch's own Flatten and ReLU, which are exact."""

import torch
from torch import Tensor, nn

from . import functional as F
from .functional import Reduction
from .guard import NonFinite, product_bits, whole
from .machine import require_device
from .operands import require_tensor, share
from .random import normal, uniform


class Linear(nn.Module):
    """y = x weight.T + bias, exactly summed, for torch.nn.Sequential.

    Weight and bias start uniform on +-1/sqrt(in), functions of seed and tag alone: give every layer of a model its own
    tag, which also names the layer in errors.

    Args:
        in_features: width of x.
        out_features: width of y.
        bias: whether there is one.
        seed: of the first weights.
        tag: the layer's name.
        levels: what integer inputs (uint8 pixels) are shares of.
        device: where the parameters are.
        dtype: float32 trains on 8-bit integers; float64 is computed as finely as sums in float64 allow.

    Attributes:
        weight: [out, in] of that type.
        bias: [out], or None.

    Raises:
        Refused: for widths that 53 bits cannot sum, and for a device that is not exact.
        ValueError, TypeError: for widths that are no whole numbers from 1 on, other levels or another dtype.

    Example:
        >>> layer = exact.Linear(2, 1, seed=0, tag="output")
        >>> layer(torch.zeros(1, 2)).item() == layer.bias.item()
        True
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, seed: int = 0, tag: str = "linear",
        levels: float = 255.0, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        in_features = whole(in_features, f"{tag}: in_features")
        out_features = whole(out_features, f"{tag}: out_features")
        product_bits(in_features, what=f"{tag}: a product over {in_features} inputs")
        product_bits(out_features, what=f"{tag}: a product over {out_features} outputs")
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"{tag}: dtype is {dtype}, but it must be torch.float32 or torch.float64")
        require_device(device or "cpu")
        self.in_features, self.out_features = in_features, out_features
        self.seed, self.tag, self.levels = seed, tag, levels
        share(levels)
        weight = uniform((out_features, in_features), seed, f"{tag}.weight", in_features)
        self.weight = nn.Parameter(weight.to(device, dtype))
        first = uniform((out_features,), seed, f"{tag}.bias", in_features)
        self.bias = nn.Parameter(first.to(device, dtype)) if bias else None

    @torch.no_grad()
    def normal_(self, std: float, mean_bias: float = 0.0) -> "Linear":
        """Start anew: a normal weight with mean 0, as `normal` draws it under "TAG.weight", and a constant bias.

        Args:
            std: the weight's standard deviation.
            mean_bias: every entry of the bias.

        Returns:
            The layer itself.

        Example:
            >>> exact.Linear(2, 1, seed=0, tag="output").normal_(0.01).bias.tolist()
            [0.0]
        """
        self.weight.copy_(normal(self.weight.shape, std, self.seed, f"{self.tag}.weight"))
        if self.bias is not None:
            self.bias.fill_(mean_bias)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """`linear` of x and the layer's own weight and bias.

        Args:
            x: [..., in], of the weight's type or 8-bit integers, which stand for x / levels.

        Returns:
            [..., out] of the weight's type.

        Raises:
            As `linear` does, and names the layer by its tag.
        """
        try:
            return F.linear(x, self.weight, self.bias, self.levels)
        except NonFinite as error:
            error.place.setdefault("layer", self.tag)
            raise
        except (TypeError, ValueError) as error:
            error.args = (f"{self.tag}: {error}",)
            raise

    def extra_repr(self) -> str:
        """Sizes and tag, as torch shows a layer's.

        Returns:
            What stands between the brackets.

        Example:
            >>> exact.Linear(2, 1, tag="output")
            Linear(2, 1, bias=True, tag='output')
        """
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, tag={self.tag!r}"


class CrossEntropyLoss(nn.Module):
    """`cross_entropy` with all but logits and labels fixed.

    Args:
        weight: of each class, float64 or float32 [classes].
        ignore_index: the label of rows that do not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: the share of a row, from 0 to 1, that is shared by all classes.

    Example:
        >>> exact.CrossEntropyLoss()(torch.zeros(3, 2, dtype=torch.float64), torch.tensor([0, 1, 1])).item()
        0.6931471805599454
    """

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if weight is not None:
            require_tensor(weight, "the weight")
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.reduction: Reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss.

        Args:
            logits: float64 or float32 [..., n, classes].
            labels: integers [..., n].

        Returns:
            float64 [...], or [..., n] for "none".

        Raises:
            As `cross_entropy` does.
        """
        return F.cross_entropy(
            logits, labels, self.reduction, weight=self.weight, ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
