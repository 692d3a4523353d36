"""Every lesson, computed."""

from dataclasses import dataclass

import pandas as pd
from torch import tensor

from samebits.outcome.finished import Dataset
from samebits.report.lessons import printed
from samebits.report.lessons.beside import (
    FLOAT32,
    MINUS,
    Row,
    beside,
    by_library,
    by_torch,
    close,
    loss_of,
    real,
    with_loss,
)
from samebits.report.lessons.code import code, code_of_labels, cross_entropy_curve
from samebits.report.lessons.cross_entropy import (
    binary,
    binary_by_torch,
    by_hand,
    from_logits,
    last_dimension,
    three_forms,
)
from samebits.report.lessons.eight_rows import learned
from samebits.report.lessons.gradient import gradient
from samebits.report.lessons.logits import logits_to_loss, surprisal, surprisal_curve
from samebits.report.lessons.network import average_loss, state_dict
from samebits.report.lessons.overflow import overflow
from samebits.report.lessons.untrained import untrained


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
        "cross entropy": all(close(loss_of(example), by_torch(example)) for example in with_loss()),
        "binary": close(tables["binary"]["two_classes"].tolist(), binary_by_torch()),
        "gradient": close(tables["gradient"]["p_minus_y"].tolist(), tables["gradient"]["torch"].tolist(), 1e-4),
    }
    return rows, tables, checks
