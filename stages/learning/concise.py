"""The same idea in a few lines of torch.nn: a list of layers is the model (Dive into Deep Learning, 3.7)."""

from torch import Tensor, nn

from stages.learning.arithmetic import Arithmetic
from stages.learning.initial import Layer


def network(ops: Arithmetic, layers: list[Layer]) -> nn.Sequential:
    """Return Flatten, then a Linear module for each layer's weight and bias, with ReLU between."""
    modules: list[nn.Module] = [nn.Flatten()]
    for weight, bias in layers:
        modules += [_linear(ops, weight, bias), ops.ReLU()]
    return nn.Sequential(*modules[:-1])  # logits come out: no ReLU after the last layer


def _linear(ops: Arithmetic, weight: Tensor, bias: Tensor) -> nn.Module:
    fan_out, fan_in = weight.shape
    linear = ops.Linear(fan_in, fan_out).to(weight.device)
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear


class Concise:
    """A network, its loss and its optimizer, as the training loop wants them."""

    def __init__(self, ops: Arithmetic, net: nn.Sequential, lr: float, momentum: float):
        self.net = net
        self.loss = ops.CrossEntropyLoss()
        self.optimizer = ops.SGD(net.parameters(), lr=lr, momentum=momentum)

    def logits(self, X: Tensor) -> Tensor:
        """Return Z [B, K] for images [B, H, W]."""
        logits: Tensor = self.net(X)
        return logits

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from one minibatch; return its mean loss and its hits from before the update."""
        Z = self.logits(X)
        loss: Tensor = self.loss(Z, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach(), (Z.argmax(1) == y).sum()

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        return {name: tensor.detach() for name, tensor in self.net.state_dict().items()}
