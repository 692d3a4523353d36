"""Cross entropy by hand, from logits, by the library (notes B, C and D)."""

import math

import pandas as pd
import torch
from torch import Tensor, tensor
from torch.nn import functional as F

from samebits import exact
from samebits.learning import scratch
from samebits.report.lessons import printed
from samebits.report.lessons.beside import (
    MINUS,
    OPS,
    ROUNDED,
    TERMS,
    Row,
    beside,
    by_library,
    by_scratch,
    real,
    shape_of,
    vector,
)


def by_hand() -> list[Row]:
    """B's one-hot examples, and C's, which picks with an index."""
    rows = []
    for example in printed.ONE_HOT:
        P, Y = real(example.rows), F.one_hot(tensor(example.labels), 3)
        loss = -math.fsum((Y * exact.log(P))[0].tolist())
        name = f"one-hot {vector(Y[0].tolist())}, predicted {vector(example.rows[0])}"
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
        name = f"{vector(example.rows[0])}, class {example.labels[0]}"
        if len(y) > 1:
            name = f"three rows from {vector(example.rows[0])}, classes {vector(example.labels)}"
        rows.append(beside(example.notes, f"{name}: by hand", [example.loss], [by_scratch(Z, y)], ROUNDED))
        rows.append(beside(example.notes, f"{name}: by library", [example.loss], [by_library(Z, y)], ROUNDED))
    example = printed.THREE_WAYS
    Z, y, name = real(example.rows), tensor(example.labels), vector(example.rows[0])
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
    layer = exact.Linear(4, 3, dtype=torch.float64)
    shapes = [(4,), (5, 4), (2, 5, 4)]
    outputs = [tuple(layer(torch.zeros(shape, dtype=torch.float64)).shape) for shape in shapes]
    return pd.DataFrame({"input": list(map(shape_of, shapes)), "output": list(map(shape_of, outputs))})
