"""The same idea in a few lines of torch.nn: a list of layers is the model (Dive into Deep Learning, 3.7)."""

from torch import Tensor, nn

from samebits.learning.arithmetic import Arithmetic
from samebits.learning.hits import hits
from samebits.learning.initial import Layer


def network(ops: Arithmetic, layers: list[Layer]) -> nn.Sequential:
    """Return Flatten, then a Linear module for each layer's weight and bias, with ReLU between.

    Weights [out, in] make one network, of images [N, H, W]; weights [S, out, in] make S networks side by side, of
    images [S, N, H, W].
    """
    modules: list[nn.Module] = [nn.Flatten(-2)]
    for weight, bias in layers:
        modules += [_linear(ops, weight, bias), ops.ReLU()]
    return nn.Sequential(*modules[:-1])  # logits come out: no ReLU after the last layer


def _linear(ops: Arithmetic, weight: Tensor, bias: Tensor) -> nn.Module:
    fan_out, fan_in = weight.shape[-2:]
    linear = ops.Linear(fan_in, fan_out)
    linear.weight, linear.bias = (nn.Parameter(tensor.to(ops.dtype, copy=True)) for tensor in (weight, bias))
    return linear


class Concise:
    """S networks side by side, their loss and their optimizer, as the training loop wants them."""

    def __init__(self, ops: Arithmetic, net: nn.Sequential, lr: float, momentum: float):
        self.net = net
        self.loss = ops.CrossEntropyLoss()
        self.optimizer = ops.SGD(net.parameters(), lr=lr, momentum=momentum)

    def logits(self, X: Tensor) -> Tensor:
        """Return Z [S, B, K] for images [S, B, H, W]."""
        logits: Tensor = self.net(X)
        return logits

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a minibatch for each seed; return mean losses and hits [S] from before the update."""
        Z = self.logits(X)
        losses: Tensor = self.loss(Z, y)
        self.optimizer.zero_grad()
        losses.sum().backward()  # no seed's weights are in another's loss, so each gets its own gradient
        self.optimizer.step()
        return losses.detach(), hits(Z, y)

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        return {name: tensor.detach() for name, tensor in self.net.state_dict().items()}
