"""Does a GPU train to the CPU's bits, and how long does a step take there? `python -m benchmarks.cuda`

Needs torch, numpy and safetensors alone. First the proof: 200 steps on this machine's CPU, then on the GPU by every
route of products, in plain operations, captured in a CUDA graph and compiled. Then the times, each as a CUDA graph. It
stops where its minutes are over, and says so. On MNIST where data/processed has it, else on random images.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from samebits import exact
from samebits.exact.functional import divisor
from samebits.exact.integers import captured, products, whole
from samebits.exact.integers.products import Route
from samebits.exact.operands import share
from samebits.exact.random import draws

MNIST = Path("data/processed/mnist/train.safetensors")
NETWORK, SOFTMAX = ((784, 520, 320, 240, 120, 10), 64), ((784, 10), 256)  # widths, minibatch
RATES, STEPS, SEEDS = whole.Rates(0.01, 0.5, 0.0), 200, (0, 1, 2)
SIDE_BY_SIDE, TIMED, ROUNDS = (3, 16, 1, 64), 100, 5
Layers = list[tuple[Tensor, Tensor]]


def data(where: torch.device) -> tuple[Tensor, Tensor]:
    """Images [60000, 784] and labels."""
    if MNIST.exists():
        tensors = load_file(MNIST)
        images, labels = tensors["images"].flatten(1), tensors["labels"].long()
    else:
        images = torch.from_numpy((draws(60_000 * 784, 0, "images") >> 56).astype("uint8")).view(-1, 784)
        labels = torch.from_numpy((draws(60_000, 0, "labels") >> 32).astype("int64")).remainder(10)
    return images.to(where), labels.to(where)


def start(widths: tuple[int, ...], seeds: range | tuple[int, ...], where: torch.device) -> Layers:
    """Weights [s, m, k] and biases [s, m] from a uniform start."""
    layers = []
    for i, (k, m) in enumerate(pairwise(widths)):
        w = [exact.uniform((m, k), seed, f"layer{i}.weight", k) for seed in seeds]
        b = [exact.uniform((m,), seed, f"layer{i}.bias", k) for seed in seeds]
        layers.append(tuple(torch.stack(x).to(where, torch.float32) for x in (w, b)))
    return layers  # type: ignore[return-value]


def orders(seeds: range | tuple[int, ...], images: Tensor) -> Tensor:
    """The order of the first epoch for each seed."""
    return torch.stack([exact.permutation(len(images), seed, "epoch1.order") for seed in seeds]).to(images.device)


def digests(layers: Layers) -> list[str]:
    """Of each seed: SHA-256 of all weights, then all biases, 16 digits."""
    ends = [torch.cat([x[seed].flatten() for part in zip(*layers, strict=True) for x in part]) for seed in
            range(len(layers[0][0]))]  # fmt: skip
    return [hashlib.sha256((end.cpu() + 0.0).numpy().tobytes()).hexdigest()[:16] for end in ends]


def plain(model: Any, where: torch.device, route: Route | None = None) -> list[str]:
    """The digests after STEPS steps of plain operations."""
    (widths, batch), (images, labels) = model, data(where)
    layers, visits = start(widths, SEEDS, where), orders(SEEDS, images)
    state = [whole.Layer(w, b, torch.zeros_like(w), torch.zeros_like(b)) for w, b in layers]
    for rows in visits[:, : STEPS * batch].split(batch, 1):
        count = divisor(batch, where)
        whole.step(state, images[rows], labels[rows], count, share(255.0), RATES, route or products.route(where))
    return digests(layers)


def graphed(model: Any, where: torch.device, compiled: bool) -> tuple[list[str], str | None]:
    """The same as a CUDA graph, and the note that it left."""
    (widths, batch), (images, labels) = model, data(where)
    layers, visits = start(widths, SEEDS, where), orders(SEEDS, images)
    tags = [f"layer{i}" for i in range(len(layers))]
    network = captured.Captured(layers, tags, RATES, compiled=compiled)
    network.epoch(images, labels, visits[:, : STEPS * batch], batch)
    return digests(layers), network.note


def tensor_cores(dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    """Products with operands of a type, or of TF32."""

    def multiply(a: Tensor, b: Tensor) -> Tensor:
        return torch.bmm(a, b, out_dtype=torch.float32)

    def tf32(a: Tensor, b: Tensor) -> Tensor:
        torch.set_float32_matmul_precision("high")
        try:
            return a @ b
        finally:
            torch.set_float32_matmul_precision("highest")

    return tf32 if dtype == torch.float32 else multiply


def int8(a: Tensor, b: Tensor) -> Tensor:
    """int8 products where cuBLAS takes the shape, else float64's."""
    entries = []
    for x, y in zip(a, b, strict=True):
        try:
            entries.append(torch._int_mm(x.contiguous(), y.contiguous()))
        except RuntimeError:
            entries.append((x.double() @ y.double()).to(torch.int32))
    return torch.stack(entries)


EVERY = (
    *products.ROUTES["cuda"],
    Route("float16", torch.float16, torch.float32, 2**10, tensor_cores(torch.float16)),
    Route("TF32", torch.float32, torch.float32, 2**10, tensor_cores(torch.float32)),
    Route("int8", torch.int8, torch.int32, 2**16, int8),
)


def prove(name: str, model: Any, where: torch.device) -> bool:
    """Whether every way on the GPU ends in the CPU's digests; prints each."""
    true = plain(model, torch.device("cpu"))
    print(f"{name}, {STEPS} steps, seeds {SEEDS}: CPU {' '.join(true)}", flush=True)
    verdicts = []
    for route in EVERY:
        verdicts.append(plain(model, where, route) == true)
        print(f"  plain operations, {route.name} products: {verdict(verdicts[-1])}", flush=True)
    for compiled in (False, True):
        begun = time.perf_counter()
        got, note = graphed(model, where, compiled)
        verdicts.append(got == true and note is None)
        way = "compiled, as a CUDA graph" if compiled else "plain operations as a CUDA graph"
        print(f"  {way} ({time.perf_counter() - begun:.0f} s): {verdict(got == true)} {note or ''}", flush=True)
    return all(verdicts)


def verdict(same: bool) -> str:
    """In words."""
    return "the CPU's digests" if same else "OTHER DIGESTS"


def float32(model: Any, seeds: int, where: torch.device, compiled: bool) -> Callable[[], None]:
    """Replays of a float32 step of so many networks, by autograd."""
    (widths, batch), (images, labels) = model, data(where)
    params = [x.requires_grad_() for layer in start(widths, range(seeds), where) for x in layer]
    velocities = [torch.zeros_like(x) for x in params]
    rows = torch.zeros(seeds, batch, dtype=torch.int64, device=where)

    def loss() -> Tensor:
        x: Tensor = images.index_select(0, rows.flatten()).view(seeds, batch, -1).to(torch.float32) / 255
        for i in range(0, len(params), 2):
            x = torch.baddbmm(params[i + 1].unsqueeze(1), x, params[i].mT)
            x = x.relu() if i + 2 < len(params) else x
        losses: Tensor = F.cross_entropy(x.flatten(0, 1), labels[rows].flatten(), reduction="none")
        total: Tensor = losses.sum() / batch
        return total

    def update() -> None:
        with torch.no_grad():
            for w, v in zip(params, velocities, strict=True):
                assert w.grad is not None
                w.sub_(v.mul_(RATES.momentum).add_(w.grad) * RATES.lr)

    forward, learn = (torch.compile(loss), torch.compile(update)) if compiled else (loss, update)

    def step() -> None:
        for w in params:
            w.grad = None
        forward().backward()
        learn()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return lambda: repeat(graph)


def repeat(graph: Any) -> None:
    """Play a graph TIMED times."""
    for _ in range(TIMED):
        graph.replay()


def ours(model: Any, seeds: int, where: torch.device, compiled: bool) -> Callable[[], None]:
    """Replays of an exact step."""
    (widths, batch), (images, labels) = model, data(where)
    network = captured.Captured(start(widths, range(seeds), where), ["layer"] * len(widths), RATES, compiled=compiled)
    visits = torch.arange(seeds * TIMED * batch, device=where).remainder(60_000).view(seeds, -1)
    network.epoch(images, labels, visits, batch)
    assert network.recording
    if network.note:
        print(network.note)
    recording = network.recording
    return lambda: repeat(recording.graph)


def microseconds(play: Callable[[], None]) -> float:
    """The median time of a step."""
    times = []
    for _ in range(ROUNDS + 1):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        play()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begun) / TIMED * 1e6)
    return statistics.median(times[1:])


WAYS: dict[str, Callable[[Any, int, torch.device], Callable[[], None]]] = {
    "float32 autograd": lambda model, s, where: float32(model, s, where, compiled=False),
    "float32, torch.compile": lambda model, s, where: float32(model, s, where, compiled=True),
    "exact, torch operations": lambda model, s, where: ours(model, s, where, compiled=False),
    "exact, torch.compile": lambda model, s, where: ours(model, s, where, compiled=True),
}


def main() -> None:
    """Prove, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    over = time.perf_counter() + 60 * parser.parse_args().minutes
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: nothing to prove")
    where = torch.device("cuda")
    source = "MNIST" if MNIST.exists() else "random images"
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, on {source}; route {products.route(where).name}")
    proven = [prove(name, model, where) for name, model in (("softmax regression", SOFTMAX), ("network", NETWORK))]
    for seeds in SIDE_BY_SIDE:
        for name, model in (("network, batch 64", NETWORK), ("softmax regression, batch 256", SOFTMAX)):
            if time.perf_counter() > over:
                print("the minutes are over: the rest was not timed")
                raise SystemExit(not all(proven))
            torch.compiler.reset()
            captured.compiled.cache_clear()
            costs = {way: microseconds(play(model, seeds, where)) for way, play in WAYS.items()}
            row = ", ".join(f"{way} {cost:.0f}" for way, cost in costs.items())
            ratio = costs["exact, torch.compile"] / costs["float32, torch.compile"]
            print(f"{name}, {seeds} side by side, us a step: {row}; compiled: {ratio:.2f} of float32", flush=True)
    raise SystemExit(not all(proven))


if __name__ == "__main__":
    main()
