"""Training on a CUDA device: the step of `whole`, compiled where that gives the same bits, captured in a CUDA graph."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..functional import divisor, log_total, total
from ..guard import NonFinite
from ..operands import share
from . import whole
from .products import Route, route
from .whole import Layer, Rates, Seen

Step = Callable[..., Seen]
_worth_compiling = False
WARM = 2  # steps that are tried before one is captured


def compile_steps() -> None:
    """Have torch compile the steps of whatever is trained from now on."""
    global _worth_compiling
    _worth_compiling = True


class Captured:
    """Stochastic gradient descent of s networks of linear layers with ReLU between, on pixels, on a CUDA device.

    Args:
        layers: weight [s, m, k] and bias [s, m] of each layer, float32 on the device, updated in place.
        tags: the layers' names, for errors.
        rates: learning rate, momentum, weight decay.
        levels: what pixels are shares of.
        compiled: whether to have torch compile the step, which takes half a minute and makes it several times as fast;
            it is used if its first steps have the bits of plain operations. By default if `compile_steps` was called.
        multiply: another route of products than the quickest.

    Attributes:
        note: what kept the compiled step from being used, if anything did.
    """

    def __init__(
        self, layers: Sequence[tuple[Tensor, Tensor]], tags: Sequence[str], rates: Rates, levels: float = 255.0,
        compiled: bool | None = None, multiply: Route | None = None,
    ) -> None:  # fmt: skip
        self.layers = [Layer(w, b, torch.zeros_like(w), torch.zeros_like(b)) for w, b in layers]
        self.tags, self.rates, self.share = list(tags), rates, share(levels)
        self.compiled = _worth_compiling if compiled is None else compiled
        self.multiply = multiply or route(self.layers[0].weight.device)
        self.note: str | None = None
        self.recording: Recording | None = None

    def epoch(self, images: Tensor, labels: Tensor, visits: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        """Learn once from images [N, k] (uint8) and labels [N] (int64), each network in its order, visits [s, N].

        Returns the mean losses of the minibatches [steps, s], float64, and all hits [s]. Nothing is read back before
        the end. Raises NonFinite naming the network (`entry`), the layer and the first step where it happened.
        """
        if images.dtype != torch.uint8:
            raise TypeError(f"images are {images.dtype}, but must be uint8")
        torch.autograd.graph.increment_version([tensor for layer in self.layers for tensor in layer])
        steps = visits.shape[1] // batch_size
        parts: list[Seen] = []
        if steps:
            if self.recording is None or not self.recording.fits(images, labels, steps, batch_size):
                self.recording = Recording(self, images, labels, steps, batch_size)
            parts.append(self.recording.play(visits))
        if visits.shape[1] % batch_size:
            seen = self.learn(whole.step, images, labels, visits[:, steps * batch_size :])
            parts.append(Seen(*(x.unsqueeze(0) for x in seen)))
        self._check(torch.cat([part.bad for part in parts]))
        means = [
            total(log_total(part.sums) - part.gaps, -1) / divisor(part.sums.shape[-1], part.sums.device)
            for part in parts
        ]
        return torch.cat(means), torch.cat([part.hits.sum(-1) for part in parts]).sum(0)

    def learn(self, step: Step, images: Tensor, labels: Tensor, rows: Tensor) -> Seen:
        """One step of the images `rows` [s, n]."""
        pixels = images.index_select(0, rows.flatten()).view(*rows.shape, images.shape[1])
        count = divisor(rows.shape[1], images.device)
        return step(self.layers, pixels, labels[rows], count, self.share, self.rates, self.multiply)

    def _check(self, bad: Tensor) -> None:
        """Read the flags [steps, s, layers] of an epoch."""
        if not bool(bad.any()):
            return
        step, entry, _ = bad.nonzero()[0].tolist()
        place: dict[str, object] = {"step": step + 1, **({"entry": entry} if bad.shape[1] > 1 else {})}
        flags = bad[step, entry].tolist()  # what is wrong goes on to the layers above, then back to those below
        if whole.FORWARD in flags:
            raise NonFinite("the weights or inputs", layer=self.tags[flags.index(whole.FORWARD)], **place)
        last = max(i for i, flag in enumerate(flags) if flag)
        raise NonFinite("the gradient", layer=self.tags[last], **place)


class Recording:
    """A step as a CUDA graph, with the memory that it reads and writes."""

    def __init__(self, network: Captured, images: Tensor, labels: Tensor, steps: int, batch_size: int) -> None:
        self.network, self.images, self.labels = network, images, labels
        where, s = images.device, len(network.layers[0].weight)
        self.order = torch.zeros(s, steps, batch_size, dtype=torch.int64, device=where)
        self.at = torch.zeros(1, dtype=torch.int64, device=where)  # the step
        self.state = [tensor for layer in network.layers for tensor in layer]
        rows = (steps, s, batch_size)
        self.seen = Seen(
            torch.zeros(rows, dtype=torch.float64, device=where),
            torch.zeros(rows, dtype=torch.float64, device=where),
            torch.zeros(rows, dtype=torch.bool, device=where),
            torch.zeros(steps, s, len(network.layers), dtype=torch.int8, device=where),
        )
        self.graph: Any = torch.cuda.CUDAGraph()
        self._capture()

    def fits(self, images: Tensor, labels: Tensor, steps: int, batch_size: int) -> bool:
        """Whether it is of these images, in minibatches of this size."""
        return images is self.images and labels is self.labels and self.order.shape[1:] == (steps, batch_size)

    def play(self, visits: Tensor) -> Seen:
        """Learn from every minibatch of visits [s, N], but for a short last one."""
        self.order.copy_(visits[:, : self.order[0].numel()].view(self.order.shape))
        self.at.zero_()
        for _ in range(self.order.shape[1]):
            self.graph.replay()
        return self.seen

    def _once(self, step: Step) -> None:
        seen = self.network.learn(step, self.images, self.labels, self.order.index_select(1, self.at).squeeze(1))
        for place, value in zip(self.seen, seen, strict=True):
            place.index_copy_(0, self.at, value.unsqueeze(0))
        self.at.add_(1).remainder_(self.order.shape[1])

    def _capture(self) -> None:
        """Try the steps, then capture one; what was learned on the way is forgotten."""
        started = [tensor.clone() for tensor in self.state]
        s, steps, n = self.order.shape
        every = torch.arange(s * steps * n, device=self.order.device).remainder(len(self.labels))
        self.order.copy_(every.view(self.order.shape))
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            step = self._step(started)
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(self.graph):
            self._once(step)
        self._restore(started)

    def _step(self, started: list[Tensor]) -> Step:
        """The compiled step if it does what the plain one does, bit for bit, else that."""
        plain = self._tried(whole.step, started)
        if not self.network.compiled:
            return whole.step
        try:
            step = compiled()
            same = [torch.equal(a, b) for a, b in zip(plain, self._tried(step, started), strict=True)]
        except Exception as error:  # whatever a compiler raises
            self.network.note = f"torch.compile does not work here ({type(error).__name__}: {error})"
            return whole.step
        if all(same):
            return step
        self.network.note = "torch.compile gives other bits here"
        return whole.step

    def _tried(self, step: Step, started: list[Tensor]) -> list[Tensor]:
        """What is learned and seen in the first steps of a way to make them."""
        self._restore(started)
        for _ in range(min(WARM, self.order.shape[1])):
            self._once(step)
        return [tensor.clone() for tensor in (*self.state, *self.seen)]

    def _restore(self, started: list[Tensor]) -> None:
        self.at.zero_()
        for tensor, value in zip(self.state, started, strict=True):
            tensor.copy_(value)


@cache
def compiled() -> Step:
    """`whole.step` compiled by torch, without the fusing of products and sums that would change bits."""
    import torch._inductor.config as inductor  # here, for it takes seconds

    inductor.emulate_precision_casts = True  # Triton then fuses no multiplication and addition
    if hasattr(inductor, "eager_numerics"):
        inductor.eager_numerics.division_rounding = True
    return torch.compile(whole.step, fullgraph=True, dynamic=False)
