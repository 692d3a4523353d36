"""Do the compiled kernels give the plain operations' bits here? Tried before they are used.

Small trainings try how the passes are put together, and many numbers each rounding: what the next grid absorbs in the
one shows in the other.
"""

from itertools import pairwise
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ..convolution import Conv2d
from ..functional import divisor, log_total, softmax_terms, total
from ..grid import total_bits
from ..modules import CrossEntropyLoss, Linear
from ..normalization import BatchNorm2d
from ..operands import share
from ..optim import SGD
from ..random import draws
from . import fast, functional, kernels, normalised, passes, plain
from .fused import Fused

WIDTHS, BATCH, IMAGES = (40, 33, 17, 5), 16, 40  # widths that fill no register; a last minibatch that is short
LR, MOMENTUM, DECAY = 0.5, 0.9, 0.001
ROWS, CLASSES = 20_000, 10  # of logits: a last bit of exp's polynomial shows in one sum of some thousand
SINGLE, CPU = torch.float32, torch.device("cpu")
DIFFER = "numba's kernels differ from torch's operations here"


def differs() -> str | None:
    """Compare trainings and passes by plain operations and by compiled ones; say what differs, if anything."""
    true = state(by_modules)
    layers = layer_passes()
    passes.use(fast)
    try:
        same = [torch.equal(true, state(way)) for way in (by_modules, in_fused_steps)]
        same += [torch.equal(a, b) for a, b in zip(layers, layer_passes(), strict=True)]
    finally:
        passes.use(None)
    return None if all(same) and hidden_agrees() and losses_agree() and normalisation_agrees() else DIFFER


def reals(*shape: int, tag: str) -> Tensor:
    """Numbers from -1 to 1, float32."""
    wholes = (draws(prod(shape), 0, tag) >> np.uint64(40)).astype(np.int64) - 2**23
    return (torch.from_numpy(wholes).to(SINGLE) * 2.0**-23).view(shape)


def layer_passes() -> list[Tensor]:
    """What a layer makes of real inputs and of pixels, and its gradients."""
    pixels = torch.from_numpy((draws(60 * 70, 0, "pixels") % 256).astype("uint8")).view(60, 70)
    x, w, b, g = reals(60, 70, tag="x"), reals(33, 70, tag="w"), reals(33, tag="b"), reals(60, 33, tag="g")
    found = [functional.bias_gradient(g)]
    for inputs in (x, pixels):
        found += [functional.linear(inputs, w, b, 255.0), functional.weight_gradient(g, inputs, 255.0)]
    for layer in (Conv2d(5, 4, (3, 2), 2, 1), Conv2d(5, 6, 3), BatchNorm2d(5)):
        x = nn.Parameter(reals(40, 5, 7, 9, tag="x"))
        y = layer(x)
        y.backward(reals(*y.shape, tag="g"))
        found += [y.detach(), *(p.grad for p in (x, *layer.parameters()) if p.grad is not None)]
    # Pixels' scale is no power of two, so that their products are rounded before the bias is added.
    return [*found, Conv2d(5, 6, 3)(pixels[:, :60].reshape(12, 5, 5, 12)).detach()]


def hidden_agrees() -> bool:
    """Whether a hidden layer in one pass is its passes one by one."""
    x, w, b = reals(60, 70, tag="x").abs(), reals(33, 70, tag="w"), reals(33, tag="b")
    X, W = plain.inputs(x, torch.float64, "the input"), plain.rows(w, torch.float64, "the weight")
    sums, c = X.q @ W.q.mT, share(255.0)
    z = plain.affine(sums, X, W, c, b).clip(min=0)
    above = plain.inputs(z, SINGLE, "the input")
    assert X.step is not None
    assert above.step is not None
    a, q, step = torch.empty_like(z), torch.empty_like(z), torch.empty_like(above.step)
    kernels.hidden(
        sums.numpy()[None], W.total.int().numpy()[None], W.step.numpy()[None], np.float32(c),
        X.step.numpy()[None], b.numpy()[None], a.numpy()[None], q.numpy()[None], step.numpy()[None],
    )  # fmt: skip
    return all(torch.equal(mine, true) for mine, true in ((a, z), (q, above.q), (step, above.step)))


def normalisation_agrees() -> bool:
    """Whether normalising and its gradient have plain operations' bits in float64, before float32 hides the last."""
    x, g = reals(400, 3, 17, tag="x"), reals(400, 3, 17, tag="g")
    numbers = (reals(6, 1, 3, 1, tag="rows").double() / divisor(3, CPU) + 1.0).unbind()
    w, b, mean, s, first, second = numbers
    y, out = (torch.empty(x.shape, dtype=torch.float64) for _ in range(2))
    normalised.normalise(x, w, b, mean, s, y)
    normalised.below(g, x, mean, s, w, first, second, out)
    X, h = (x.double() - mean) / s, g.double() * w
    tops = [t.abs().amax((0, 2), keepdim=True) for t in (g.double() * X, h * X)]
    true, mine = [X * w + b, ((h - first) - X * second) / s, *tops], [y, out, *normalised.tops(g, x, mean, s, w)]
    return all(torch.equal(a, b) for a, b in zip(mine, true, strict=True))


def losses_agree() -> bool:
    """Whether the loss side has plain operations' bits, of logits near each other and far."""
    near = (2.0 ** (torch.arange(ROWS) % 24 - 19)).to(SINGLE)[:, None]
    z, y = reals(ROWS, CLASSES, tag="z") * near, torch.arange(ROWS) % CLASSES
    g, sums, gaps = torch.empty_like(z), np.empty((1, ROWS)), np.empty((1, ROWS))
    kernels.loss_side(z.numpy()[None], y.numpy()[None], g.numpy()[None], sums, gaps, np.empty(1, np.int64))
    d, e, s = softmax_terms(z.double())
    p = e / s
    p[torch.arange(ROWS), y] -= 1.0
    true = [(p / divisor(ROWS, CPU)).to(SINGLE), s.squeeze(-1), d[torch.arange(ROWS), y]]
    mine = [g, torch.from_numpy(sums[0]), torch.from_numpy(gaps[0])]
    return means_agree() and all(torch.equal(a, b) for a, b in zip(mine, true, strict=True))


def means_agree() -> bool:
    """Whether means of few losses near 0, in which a logarithm's last bit shows, are plain operations'."""
    sums = (2**40 + (draws(3 * ROWS, 0, "sums") >> np.uint64(24)).astype(np.int64)).astype(np.float64).reshape(ROWS, 3)
    means = np.empty(ROWS)
    kernels.mean_losses(sums, np.zeros((ROWS, 3)), total_bits(3), means)
    return torch.equal(torch.from_numpy(means), total(log_total(torch.from_numpy(sums)), -1) / divisor(3, CPU))


def state(way: object) -> Tensor:
    """The weights after two epochs of a way to train."""
    model = network()
    x = torch.from_numpy((draws(IMAGES * WIDTHS[0], 0, "trial") % 256).astype("uint8")).view(IMAGES, -1)
    y = torch.from_numpy((draws(IMAGES, 1, "trial") % WIDTHS[-1]).astype("int64"))
    way(model, x, y)  # type: ignore[operator]
    return torch.cat([w.detach().flatten() for w in model.parameters()])


def network() -> nn.Sequential:
    """A small network."""
    layers: list[nn.Module] = []
    for i, (k, m) in enumerate(pairwise(WIDTHS)):
        layers += [Linear(k, m, tag=f"layer{i}"), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def by_modules(model: nn.Sequential, x: Tensor, y: Tensor) -> None:
    """Layer by layer."""
    optimizer, loss = SGD(model.parameters(), LR, MOMENTUM, weight_decay=DECAY), CrossEntropyLoss()
    for _ in range(2):
        for rows in torch.arange(IMAGES).split(BATCH):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()


def in_fused_steps(model: nn.Sequential, x: Tensor, y: Tensor) -> None:
    """In whole steps."""
    fused = Fused(model, LR, MOMENTUM, DECAY)
    for _ in range(2):
        fused.epoch(x, y, torch.arange(IMAGES), BATCH)
