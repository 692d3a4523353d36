"""The same idea in a few lines of torch.nn: a list of layers is the model (Dive into Deep Learning, 3.7)."""

from copy import deepcopy

from torch import Tensor, nn

from samebits.learning.arithmetic import Arithmetic, on_integers
from samebits.learning.hits import hits
from samebits.learning.initial import Layer
from samebits.learning.learner import VELOCITY, Learner


def network(ops: Arithmetic, layers: list[Layer]) -> nn.Sequential:
    """Return Flatten, then a Linear module for each layer's weight and bias, with ReLU between.

    Weights [out, in] make one network, of images [N, H, W]; weights [S, out, in] make S networks side by side, of
    images [S, N, H, W].
    """
    modules: list[nn.Module] = [nn.Flatten(-2)]
    for i, (weight, bias) in enumerate(layers, 1):
        modules += [_linear(ops, weight, bias, f"{i} of {len(layers)}"), ops.ReLU()]
    return nn.Sequential(*modules[:-1])  # logits come out: no ReLU after the last layer


def _linear(ops: Arithmetic, weight: Tensor, bias: Tensor, tag: str) -> nn.Module:
    fan_out, fan_in = weight.shape[-2:]
    linear = ops.Linear(fan_in, fan_out)
    linear.tag = tag  # type: ignore[assignment]  # names the layer in errors
    linear.weight, linear.bias = (nn.Parameter(tensor.to(ops.dtype, copy=True)) for tensor in (weight, bias))
    return linear


class Concise(Learner):
    """S networks side by side, their loss and their optimizer, as the training loop wants them."""

    def __init__(self, ops: Arithmetic, net: nn.Sequential, lr: float, momentum: float):
        self.net, self.judged = net, ops.loss_dtype
        self.threads = 1 if on_integers(ops) else None  # products so small gain nothing by a second
        self.loss = ops.CrossEntropyLoss()
        self.optimizer = ops.SGD(net.parameters(), lr=lr, momentum=momentum)

    def logits(self, X: Tensor) -> Tensor:
        """Return Z [S, B, K] for images [S, B, H, W], of the networks as they are judged."""
        if next(self.net.parameters()).dtype == self.judged:
            return call(self.net, X)
        return call(deepcopy(self.net).to(self.judged), X)

    def step(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a minibatch for each seed; return mean losses and hits [S] from before the update."""
        Z = call(self.net, X)
        losses: Tensor = self.loss(Z, y)
        self.optimizer.zero_grad()
        losses.sum().backward()  # no seed's weights are in another's loss, so each gets its own gradient
        self.optimizer.step()
        return losses.detach(), hits(Z, y)

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        return {name: tensor.detach() for name, tensor in self.net.state_dict().items()}

    def velocities(self) -> dict[str, Tensor]:
        """Return how fast that moves."""
        all_ = ((name, self.optimizer.state.get(w, {})) for name, w in self.net.named_parameters())
        found = ((name, state.get("momentum_buffer")) for name, state in all_)
        return {name: v for name, v in found if v is not None}  # torch's own has None where there is no momentum

    def go_on(self, carried: dict[str, Tensor]) -> None:
        """Go on from where another left."""
        self.net.load_state_dict({name: carried[name] for name in self.state()})
        given = enumerate(carried.get(VELOCITY + name) for name, _ in self.net.named_parameters())
        state = {i: {"momentum_buffer": v} for i, v in given if v is not None}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def call(net: nn.Module, X: Tensor) -> Tensor:
    """Return net(X)."""
    Z: Tensor = net(X)
    return Z
