"""What makes a table's numbers pixels.

A pixel has 256 levels: each column is scaled so that its least value in the training set becomes 0 and its greatest
255. That keeps counts apart whose range is at most 255, and of other numbers what 256 steps can tell.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.base.files import write_csv

SCALE = "columns.csv"  # in data/processed/DATASET, of a table

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """The range of each column, from `least` to `greatest`, float64 [F]: what makes its numbers pixels."""

    columns: list[str]
    least: Values
    greatest: Values

    def pixels(self, values: Values) -> npt.NDArray[np.uint8]:
        """Return values float64 [N, F] as uint8 [N, 1, F]: 255 (x - least) / (greatest - least), rounded half to even.

        What is outside the range becomes 0 or 255, a column that has but one value 0. Each operation is a single
        one of IEEE 754, so the bytes are the same on every machine.
        """
        span = self.greatest - self.least
        share = (values.clip(self.least, self.greatest) - self.least) / np.where(span == 0, 1, span)
        return np.rint(share * 255).astype(np.uint8)[:, None, :]

    def write(self, path: Path) -> None:
        """Write a row for each column."""
        write_csv(path, [{"column": name, "least": a, "greatest": b} for name, a, b in self.ranges()])

    def ranges(self) -> list[tuple[str, float, float]]:
        """Return name, least and greatest value of each column."""
        return list(zip(self.columns, self.least.tolist(), self.greatest.tolist(), strict=True))

    @classmethod
    def of(cls, ranges: list[tuple[str, float, float]]) -> "Scale":
        """Return the scale whose `ranges` these are."""
        columns, least, greatest = zip(*ranges, strict=True)
        return cls(list(columns), np.array(least), np.array(greatest))

    @classmethod
    def read(cls, path: Path) -> "Scale":
        """Read what `write` wrote. Raises UserError if it cannot be read."""
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            least, greatest = (np.array([float(row[end]) for row in rows]) for end in ("least", "greatest"))
            if not rows or not np.isfinite([least, greatest]).all() or (least > greatest).any():
                raise ValueError
            return cls([row["column"] for row in rows], least, greatest)
        except FileNotFoundError:
            raise UserError(f"{path} is missing: `dvc repro` writes it in its preprocess stage") from None
        except (csv.Error, KeyError, TypeError, ValueError):
            raise UserError(f"{path} does not hold the ranges of columns: run `dvc repro` again") from None
