"""Logits, probabilities, loss (notes A and D)."""

import pandas as pd
from torch import tensor

from samebits import exact
from samebits.learning import scratch
from samebits.report.lessons import printed
from samebits.report.lessons.beside import OPS, Row, beside, by_scratch, real, vector


def logits_to_loss() -> list[Row]:
    """The softmax and the loss of A's and D's examples."""
    rows = []
    for example in (*printed.LOGITS, printed.ONE_TWO_THREE, printed.THREE_WAYS):
        Z, name = real(example.rows), vector(example.rows[0])
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
