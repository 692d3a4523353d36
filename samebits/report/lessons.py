"""What the notes print beside what comes out here: every value by the project's own functions, in exact arithmetic.

Exact whatever params.yaml says, so that the page's bytes are the same on every machine. Where torch's own functions are
asked, or float32, what they answer is kept as a yes or no, or is rounded far above their noise.
"""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import cast

import pandas as pd
import torch
from torch import Tensor, nn, tensor
from torch.nn import functional as F

from samebits import exact
from samebits.learning import scratch
from samebits.learning.arithmetic import Arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.initial import Layer, first_layers
from samebits.outcome.finished import Dataset, Run
from samebits.report import printed
from samebits.report.printed import Digits, Example

OPS = cast(Arithmetic, exact)
MINUS = "\N{MINUS SIGN}"
FLOAT32 = 2e-6  # how far a figure that the notes trained in float32 may be from the exact one
ROUNDED = 2.4e-7  # the same for one that took a few float32 operations: 2 units in the last place
TERMS = 2.0**-38  # exact.exp rounds to multiples of 2^-40, and four of them are added
CLOSE = 1e-6  # what counts as agreement with torch's own functions


@dataclass(frozen=True)
class Row:
    """One line of the notes: its figures as printed, and here, to as many decimals as read the same."""

    notes: str
    what: str
    printed: Digits
    here: Digits
    difference: float  # the largest; 0 where every printed digit comes out
    agrees: bool


@dataclass(frozen=True)
class Lessons:
    """For each lesson the notes' figures, the tables, and whether torch's own functions agree."""

    rows: dict[str, list[Row]]
    tables: dict[str, pd.DataFrame]
    checks: dict[str, bool]

    @property
    def every(self) -> list[Row]:
        """All lines of the notes."""
        return [row for rows in self.rows.values() for row in rows]

    @property
    def tally(self) -> tuple[int, int]:
        """How many figures the notes print, and how many of them come out to the last printed digit."""
        pairs = [pair for row in self.every for pair in zip(row.printed, row.here, strict=True)]
        return len(pairs), sum(digits == mine for digits, mine in pairs)

    @property
    def agree(self) -> bool:
        """Whether every line of the notes comes out, to its digits or within the rounding of float32."""
        return all(row.agrees for row in self.every)

    def frames(self) -> dict[str, pd.DataFrame]:
        """Every table, and one of all figures of the notes, as they are written to files."""
        beside = [
            [lesson, row.notes, row.what, " ".join(row.printed), " ".join(row.here), row.difference, row.agrees]
            for lesson, rows in self.rows.items()
            for row in rows
        ]
        columns = ["lesson", "notes", "what", "printed", "here", "difference", "agrees"]
        return {"lessons": pd.DataFrame(beside, columns=columns), **self.tables}


def learn(datasets: list[Dataset]) -> Lessons:
    """Compute every lesson; those about trained or untrained classifiers are about `datasets`."""
    rows, tables, checks = _notes()
    about = {"untrained": untrained, "labels": code_of_labels, "average": average_loss, "state": state_dict}
    return Lessons(rows, tables | {name: table(datasets) for name, table in about.items()}, checks)


def _notes() -> tuple[dict[str, list[Row]], dict[str, pd.DataFrame], dict[str, bool]]:
    rows = {
        "logits": logits_to_loss(),
        "surprisal": surprisal(),
        "untrained": [
            beside("A", f"{MINUS}log(1/10)", [printed.UNTRAINED], [by_library(real([[0.0] * 10]), tensor([7]))])
        ],
        "by-hand": by_hand(),
        "from-logits": from_logits(),
        "three-forms": three_forms(),
        "costs": [
            beside("D", f"{printed.EVERY * i}", [cost], [learned()[printed.EVERY * i]], FLOAT32)
            for i, cost in enumerate(printed.COSTS)
        ],
    }
    tables = {
        "surprisal": surprisal_curve(),
        "binary": binary(),
        "linear": last_dimension(),
        "gradient": gradient(),
        "overflow": overflow(),
        "code": code(),
        "cross_entropy": cross_entropy_curve(),
        "costs": pd.DataFrame({"step": range(len(learned())), "cost": learned()}),
    }
    checks = {
        "cross entropy": all(_close(_loss(example), by_torch(example)) for example in _with_loss()),
        "binary": _close(tables["binary"]["two_classes"].tolist(), binary_by_torch()),
        "gradient": _close(tables["gradient"]["p_minus_y"].tolist(), tables["gradient"]["torch"].tolist(), 1e-4),
    }
    return rows, tables, checks


# Figures beside figures


def beside(notes: str, what: str, digits: Sequence[str], values: Sequence[float], within: float = 0.0) -> Row:
    """Hold `values` against the printed digits: they agree if they round to them, or lie `within` of them."""
    here = [_as_printed(text, value) for text, value in zip(digits, values, strict=True)]
    gaps = [
        0.0 if mine == text else abs(float(text) - value)
        for text, mine, value in zip(digits, here, values, strict=True)
    ]
    return Row(notes, what, tuple(digits), tuple(here), max(gaps), max(gaps) <= within)


def _as_printed(text: str, value: float) -> str:
    """Write `value` with as many decimals as it shares with the printed `text`; with all of them if it shares none."""
    if float(text) == value:
        return text
    decimals = len(text.partition(".")[2])
    shared = (n for n in range(decimals, 0, -1) if f"{float(text):.{n}f}" == f"{value:.{n}f}")
    return f"{value:.{next(shared, decimals)}f}"


def real(values: object) -> Tensor:
    """Return a tensor of exact arithmetic's type."""
    return tensor(values, dtype=torch.float64)


def by_scratch(Z: Tensor, y: Tensor) -> float:
    """The mean loss by samebits.learning.scratch."""
    return math.fsum(scratch.cross_entropy(OPS, Z, y).tolist()) / len(y)


def by_library(Z: Tensor, y: Tensor) -> float:
    """The mean loss by samebits.exact, which has the library's interface."""
    return exact.cross_entropy(Z, y).item()


def by_torch(example: Example) -> list[float]:
    """The losses by torch's own function, in float64: the same up to its rounding, which no machine promises."""
    losses: list[float] = F.cross_entropy(real(example.rows), tensor(example.labels), reduction="none").tolist()
    return losses


def _loss(example: Example) -> list[float]:
    losses: list[float] = scratch.cross_entropy(OPS, real(example.rows), tensor(example.labels)).tolist()
    return losses


def _with_loss() -> tuple[Example, ...]:
    return (*printed.LOGITS, *printed.FROM_LOGITS, printed.THREE_WAYS)


def _close(these: Iterable[float], those: Iterable[float], tolerance: float = CLOSE) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(these, those, strict=True))


def _vector(values: Iterable[float]) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"


# Logits, probabilities, loss


def logits_to_loss() -> list[Row]:
    """The softmax and the loss of A's and D's examples."""
    rows = []
    for example in (*printed.LOGITS, printed.ONE_TWO_THREE, printed.THREE_WAYS):
        Z, name = real(example.rows), _vector(example.rows[0])
        P: list[float] = scratch.softmax(OPS, Z)[0].tolist()
        rows.append(beside(example.notes, f"softmax of {name}", example.probabilities[0], P))
        if example in printed.LOGITS:
            loss = by_scratch(Z, tensor(example.labels))
            rows.append(beside(example.notes, f"its loss, target {example.labels[0]}", [example.loss], [loss]))
    return rows


def surprisal() -> list[Row]:
    """-log p for p = 0, 0.1 ... 1."""
    values: list[float] = (-exact.log(real([i / 10 for i in range(11)]))).tolist()
    return [
        beside("A", f"p = {i / 10:g}", [digits], [value])
        for i, (digits, value) in enumerate(zip(printed.SURPRISAL, values, strict=True))
    ]


def surprisal_curve() -> pd.DataFrame:
    """Columns p, surprisal (nats)."""
    p = real([i / 100 for i in range(1, 101)])
    return pd.DataFrame({"p": p.tolist(), "surprisal": (0.0 - exact.log(p)).tolist()})


# What a classifier loses before it has learned


def untrained(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, classes, must (the log of them) and has: the loss of the first weights on the images."""
    rows = [(dataset.name, run.name, len(dataset.summary["classes"]), *_start(dataset, run))
            for dataset in datasets for run in dataset.runs]  # fmt: skip
    return pd.DataFrame(rows, columns=["dataset", "run", "classes", "must", "has"])


def _start(dataset: Dataset, run: Run) -> tuple[float, float]:
    return must(len(dataset.summary["classes"])), by_library(*first_logits(dataset, run))


def must(classes: int) -> float:
    """What a classifier that knows nothing loses: the log of the number of classes."""
    return exact.log(real([classes])).item()


def first_logits(dataset: Dataset, run: Run) -> tuple[Tensor, Tensor]:
    """Return Z [N, K] and y [N] of the dataset's images before `run` has learned, with its first seed."""
    net = network(OPS, _kept_layers(tuple(_widths(dataset, run)), run.training.init_std, run.training.seeds[0]))
    with torch.no_grad():
        return net(torch.from_numpy(dataset.first_images)), image_labels(dataset)


@functools.lru_cache(4)  # runs and datasets share them
def _kept_layers(widths: tuple[int, ...], init_std: float | None, seed: int) -> list[Layer]:
    return [(W[0], b[0]) for W, b in first_layers(widths, init_std, [seed])]


def image_labels(dataset: Dataset) -> Tensor:
    """Return the labels, int64 [N], of the dataset's first test images."""
    names = dataset.runs[0].predictions["actual"].head(len(dataset.first_images))
    return tensor([dataset.summary["classes"].index(name) for name in names])


def _widths(dataset: Dataset, run: Run) -> list[int]:
    return [math.prod(dataset.summary["image"]), *run.training.hidden, len(dataset.summary["classes"])]


# Cross entropy by hand, from logits, by the library


def by_hand() -> list[Row]:
    """B's one-hot examples, and C's, which picks with an index."""
    rows = []
    for example in printed.ONE_HOT:
        P, Y = real(example.rows), F.one_hot(tensor(example.labels), 3)
        loss = -math.fsum((Y * exact.log(P))[0].tolist())
        name = f"one-hot {_vector(Y[0].tolist())}, predicted {_vector(example.rows[0])}"
        rows.append(beside(example.notes, name, [example.loss], [loss]))
    y_hat, y = real(printed.PICKED[0]), tensor(printed.PICKED[1])
    picked = scratch.pick(y_hat, y)
    losses: list[float] = (-exact.log(picked)).tolist()
    rows.append(beside("C", "ŷ[[0, 1], y] with y = [0, 2]", printed.PICKED_PROBABILITIES, picked.tolist()))
    rows.append(beside("C", f"their {MINUS}log", printed.PICKED_LOSSES, losses))
    rows.append(beside("C", "accuracy", [printed.PICKED_ACCURACY], [scratch.accuracy(y_hat, y)]))
    return rows


def from_logits() -> list[Row]:
    """B's losses of logits, by hand and by the library, and one of them three ways."""
    rows = []
    for example in printed.FROM_LOGITS:
        Z, y = real(example.rows), tensor(example.labels)
        name = f"{_vector(example.rows[0])}, class {example.labels[0]}"
        if len(y) > 1:
            name = f"three rows from {_vector(example.rows[0])}, classes {_vector(example.labels)}"
        rows.append(beside(example.notes, f"{name}: by hand", [example.loss], [by_scratch(Z, y)], ROUNDED))
        rows.append(beside(example.notes, f"{name}: by library", [example.loss], [by_library(Z, y)], ROUNDED))
    example = printed.THREE_WAYS
    Z, y, name = real(example.rows), tensor(example.labels), _vector(example.rows[0])
    probability = exact.log(real([float(example.probabilities[0][3])])).item()
    logits = -example.rows[0][3] + 1 + by_hand_from_logits(Z)
    return [
        *rows,
        beside("B", f"{name}, class 3: by the loss function", [example.loss], [by_library(Z, y)]),
        beside("B", f"by the logits, {MINUS}1 + log Σ exp z", [printed.BY_LOGITS], [logits], TERMS),
        beside("B", f"by the printed probability, {MINUS}log 0.4668", [printed.BY_PROBABILITY], [-probability]),
    ]


def by_hand_from_logits(Z: Tensor) -> float:
    """log(sum(exp(Z))) - max(Z) of one row: what the maximum taken off leaves."""
    return exact.log(exact.sum(exact.exp(Z - Z.amax(-1, keepdim=True)), -1)).item()


def drawn() -> tuple[Tensor, Tensor]:
    """Return D's logits, float32 [3, 5], and labels [3], drawn by torch's generator from seed 1 as in the notes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        z = [torch.rand(3, 5) for _ in range(3)][-1]
        return z, [torch.randint(5, (3,)) for _ in range(5)][-1]


def three_forms() -> list[Row]:
    """D's three rows of five: softmax, log-softmax, and their cost in three forms that are one."""
    z, y = drawn()
    Z = z.double()
    P, log_P = scratch.softmax(OPS, Z), exact.log_softmax(Z)
    forms = {
        f"mean of Σ {MINUS}Y log softmax(z)": -exact.sum(F.one_hot(y, 5) * exact.log(P), -1),
        "nll of log_softmax(z)": -scratch.pick(log_P, y),
        "cross_entropy(z)": exact.cross_entropy(Z, y, reduction="none"),
    }
    names = ("first", "second", "third")
    tables = {"softmax": (printed.THREE_BY_FIVE, P), "log-softmax": (printed.THREE_BY_FIVE_LOG, log_P)}
    return [
        *(
            beside("D", f"{name} row, {table}", digits, values.tolist())
            for table, (rows, tensors) in tables.items()
            for name, digits, values in zip(names, rows, tensors, strict=True)
        ),
        *(
            beside("D", f"cost: {form}", [printed.THREE_BY_FIVE_COST], [math.fsum(losses.tolist()) / 3])
            for form, losses in forms.items()
        ),
    ]


BINARY = (-3.0, -0.2, 0.0, 1.7), (0, 1, 1, 0)


def binary() -> pd.DataFrame:
    """Columns z, y, binary (max(z, 0) - zy + log(1 + exp(-|z|))) and two_classes (cross entropy of [0, z])."""
    z, y = real(BINARY[0]), tensor(BINARY[1])
    softplus = exact.log(exact.exp(-z.abs()) + 1.0)
    single = z.clamp(min=0) - z * y + softplus
    two = scratch.cross_entropy(OPS, torch.stack([torch.zeros_like(z), z], -1), y)
    return pd.DataFrame({"z": BINARY[0], "y": BINARY[1], "binary": single.tolist(), "two_classes": two.tolist()})


def binary_by_torch() -> list[float]:
    """The same losses by torch's own function."""
    z, y = map(real, BINARY)
    losses: list[float] = F.binary_cross_entropy_with_logits(z, y, reduction="none").tolist()
    return losses


def last_dimension() -> pd.DataFrame:
    """Columns input and output: what Linear(4, 3) makes of shapes."""
    layer = exact.Linear(4, 3)
    shapes = [(4,), (5, 4), (2, 5, 4)]
    outputs = [tuple(layer(torch.zeros(shape, dtype=torch.float64)).shape) for shape in shapes]
    return pd.DataFrame({"input": list(map(_shape, shapes)), "output": list(map(_shape, outputs))})


def _shape(sizes: Iterable[int]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(map(str, sizes))


# The gradient


def gradient() -> pd.DataFrame:
    """Columns z, y (one-hot), p, p_minus_y, autograd (exact), torch (its own exp, sum and log) and slope (measured)."""
    example = printed.FROM_LOGITS[0]
    Z, y = real(example.rows), tensor(example.labels)
    Y = F.one_hot(y, Z.shape[-1])
    P = scratch.softmax(OPS, Z)
    library, by_parts = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    exact.cross_entropy(library, y).backward()
    (by_parts.exp().sum().log() - by_parts[0, y[0]]).backward()
    assert library.grad is not None
    assert by_parts.grad is not None
    return pd.DataFrame(
        {
            "z": Z[0].tolist(),
            "y": Y[0].tolist(),
            "p": P[0].tolist(),
            "p_minus_y": (P - Y)[0].tolist(),
            "autograd": library.grad[0].tolist(),
            "torch": [round(g, 4) for g in by_parts.grad[0].tolist()],
            "slope": _slopes(Z, y),
        }
    )


def _slopes(Z: Tensor, y: Tensor, h: float = 2.0**-10) -> list[float]:
    """How fast the loss grows with each logit, measured between h below it and h above it."""
    steps = torch.eye(Z.shape[-1], dtype=torch.float64) * h
    return [(by_scratch(Z + step, y) - by_scratch(Z - step, y)) / (2 * h) for step in steps]


# Overflow and underflow

SIZES = (*range(0, 45, 5), *range(55, 125, 5), 1000)  # float32 has no normal numbers for p[2] between 44 and 51


def overflow() -> pd.DataFrame:
    """Columns size s of the logits [s, 0, -s]; naive_p, naive_loss by float32; p, loss by log-sum-exp.

    p is the first class's, the loss that of the third. float32's figures are rounded to 0.01, far above its noise.
    """
    rows = []
    for size in SIZES:
        z = tensor([[size, 0, -size]], dtype=torch.float32)
        E = torch.exp(z)
        naive = E / E.sum(-1, keepdim=True)
        Z = z.double()
        p, loss = scratch.softmax(OPS, Z)[0, 0].item(), by_scratch(Z, tensor([2]))
        rows.append([size, round(naive[0, 0].item(), 2), round(-naive[0, 2].log().item(), 2), p, loss])
    return pd.DataFrame(rows, columns=["size", "naive_p", "naive_loss", "p", "loss"])


def limits() -> tuple[float, float]:
    """Return the sizes s from which exp(-s) / exp(s) is zero in float32, and exp(s) infinite."""
    least, most = torch.finfo(torch.float32).smallest_normal * 2.0**-23, torch.finfo(torch.float32).max
    return -exact.log(real([least / 2])).item() / 2, exact.log(real([most])).item()


# Entropy and code length


def bits(p: Tensor) -> Tensor:
    """Return the surprisal -log2 p in bits."""
    return (0.0 - exact.log(p)) / exact.log(real([2.0]))


def mean_bits(p: Iterable[float], q: Iterable[float]) -> float:
    """Return the cross entropy sum(p * -log2 q): the mean code length, in bits, of p's messages in q's code."""
    pairs = [(a, b) for a, b in zip(p, q, strict=True) if a]  # what never comes costs nothing
    lengths: list[float] = bits(real([b for _, b in pairs])).tolist()
    return math.fsum(a * length for (a, _), length in zip(pairs, lengths, strict=True))


def code() -> pd.DataFrame:
    """Columns p, word (of a code without commas), length, surprisal (bits), uniform (bits of a code for equal shares).

    The last row, word "mean", holds the means.
    """
    p, words = [0.5, 0.25, 0.125, 0.125], ["0", "10", "110", "111"]
    lengths, even = list(map(len, words)), [0.25] * 4
    rows = zip(p, words, lengths, bits(real(p)).tolist(), bits(real(even)).tolist(), strict=True)
    mean = math.fsum(share * length for share, length in zip(p, lengths, strict=True))
    means = (1.0, "mean", mean, mean_bits(p, p), mean_bits(p, even))
    return pd.DataFrame([*rows, means], columns=["p", "word", "length", "surprisal", "uniform"])


TRUE = 0.75  # the share of the first of two classes, in the curve


def cross_entropy_curve() -> pd.DataFrame:
    """Columns q and length: the mean bits of two classes with shares 3/4 and 1/4 in a code for q and 1 - q."""
    q = [i / 100 for i in range(2, 99)]
    return pd.DataFrame({"q": q, "length": [mean_bits([TRUE, 1 - TRUE], [each, 1 - each]) for each in q]})


def code_of_labels(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run and in bits: entropy of the true labels and of the predicted, cross (the true in the code of
    the predicted shares), and knowing: the mean test loss of the first seed, which has seen the image."""
    nats = exact.log(real([2.0])).item()
    rows = []
    for dataset in datasets:
        for run in dataset.runs:
            true, predicted = (_shares(run.confusion, axis, dataset) for axis in ("actual", "predicted"))
            knowing = run.metrics["test"]["loss"]["per_seed"][0] / nats
            lengths = [mean_bits(p, q) for p, q in ((true, true), (predicted, predicted), (true, predicted))]
            rows.append([dataset.name, run.name, *lengths, knowing])
    return pd.DataFrame(rows, columns=["dataset", "run", "true", "predicted", "cross", "knowing"])


def _shares(confusion: pd.DataFrame, axis: str, dataset: Dataset) -> list[float]:
    counts = confusion.groupby(axis)["count"].sum()
    return [int(counts.get(name, 0)) / int(counts.sum()) for name in dataset.summary["classes"]]


# Learning eight rows


@functools.cache
def learned() -> tuple[float, ...]:
    """Return the costs in exact arithmetic; its thousand steps are taken once, however many reports are made."""
    return tuple(costs(OPS))


def costs(ops: Arithmetic) -> list[float]:
    """Return the cost before each of D's 1,001 steps, from torch's first weights with seed 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        start = nn.Linear(4, 3)
    net = network(ops, [(start.weight.detach(), start.bias.detach())])
    learner = Concise(ops, net, lr=0.1, momentum=0.0)
    x = tensor(printed.EIGHT_ROWS, dtype=ops.dtype).view(8, 2, 2)  # the network takes images
    y = tensor(printed.EIGHT_LABELS)
    return [learner.step(x, y)[0].item() for _ in range(1 + printed.EVERY * (len(printed.COSTS) - 1))]


# The network of notes B


def average_loss(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, images, batch, mean (test loss at the end, over the seeds), and notes: as B divides it.

    B sums the means of the minibatches and divides by the images: the mean, times minibatches, divided by images.
    """
    rows = []
    for dataset in datasets:
        for run in [run for run in dataset.runs if run.training.hidden]:
            images, batch = dataset.summary["splits"]["test"]["images"], run.training.batch_size
            last = run.history[run.history["epoch"] == run.training.epochs]
            mean = fmean(last["test_loss"].tolist())
            rows.append([dataset.name, run.name, images, batch, mean, mean * math.ceil(images / batch) / images])
    return pd.DataFrame(rows, columns=["dataset", "run", "images", "batch", "mean", "notes"])


def state_dict(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns name, shape, numbers: the state dict of the first dataset's widest run."""
    run = max(datasets[0].runs, key=lambda run: len(run.training.hidden))
    layers = [(torch.zeros(out, into), torch.zeros(out)) for into, out in pairwise(_widths(datasets[0], run))]
    state = network(OPS, layers).state_dict()
    rows = [(name, _shape(weight.shape), weight.numel()) for name, weight in state.items()]
    return pd.DataFrame(rows, columns=["name", "shape", "numbers"])
