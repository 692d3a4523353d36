"""The quickest way to train networks exactly on a GPU: a step of all of them as one CUDA graph."""

from torch import Tensor, nn

from samebits import exact
from samebits.exact.integers import captured
from samebits.exact.integers.whole import Rates
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import Concise


class Captured(Concise):
    """S networks that learn by `samebits.exact.integers.captured`."""

    def __init__(self, ops: Arithmetic, net: nn.Sequential, lr: float, momentum: float):
        super().__init__(ops, net, lr, momentum)
        linear = [layer for layer in net if isinstance(layer, exact.Linear)]
        layers = [(each.weight.detach(), each.bias.detach()) for each in linear if each.bias is not None]
        rates, tags = Rates(lr, momentum, 0.0), [each.tag for each in linear]
        self.graph = captured.Captured(layers, tags, rates, linear[0].levels)
        self.momentum = momentum
        self.pixels: tuple[Tensor, Tensor] | None = None  # as given, and flat

    def epoch(self, images: Tensor, labels: Tensor, visits: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        """Learn once from every image: see Learner."""
        if self.pixels is None or self.pixels[0] is not images:
            self.pixels = images, images.flatten(1).contiguous()
        learned = self.graph.epoch(self.pixels[1], labels, visits, batch_size)
        if self.graph.note:
            print(f"note: {self.graph.note}: steps on the GPU go on in plain operations, to the same bits", flush=True)
            self.graph.note = None
        return learned

    def velocities(self) -> dict[str, Tensor]:
        """Return how fast what is learned moves; nothing without momentum, as in SGD."""
        moving = [v for layer in self.graph.layers for v in (layer.weight_velocity, layer.bias_velocity)]
        return dict(zip(self.state(), moving, strict=True)) if self.momentum else {}

    def go_on(self, carried: dict[str, Tensor]) -> None:
        """Go on from where another left."""
        for name, tensor in self.carried().items():
            tensor.copy_(carried[name])
