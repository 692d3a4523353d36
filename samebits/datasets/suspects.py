"""What looks like data and is none: columns that number the rows, classes that are one class in two spellings.

Nothing here changes what the pipeline does: `samebits declare` asks, or warns.
"""

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt

IDENTIFIERS = {"id", "idx", "index", "key", "no", "nr", "num", "number", "row", "rownum", "serial", "uid", "unnamed"}
EXACT = 2.0**53  # above it float64 cannot tell all whole numbers apart
MISSING = {  # how pandas, R, SQL and spreadsheets spell it, without blanks and case
    *("", "?", "-", "--", ".", "na", "n/a", "n.a.", "#na", "#n/a", "<na>", "nan", "-nan", "nat", "nil"),
    *("null", "#null!", "(null)", "none", "missing", "undefined", "empty", "(empty)", "blank", "(blank)"),
}


def numbering(columns: list[str], values: npt.NDArray[np.float64]) -> list[str]:
    """Return the names of those columns of values [N, F] that tell rows apart and measure nothing.

    They hold whole numbers, all of them different, that rise or fall from row to row or leave none out; or most of them
    different under the name of an identifier; or any numbers in equal steps, as a log's time has them. Measurements may
    be sorted: they are not whole, or repeat.
    """
    with np.errstate(over="ignore"):  # of steps between numbers near the greatest
        return [name for name, column in zip(columns, values.T, strict=True) if _numbers_rows(name, column)]


def _numbers_rows(name: str, column: npt.NDArray[np.float64]) -> bool:
    if len(column) < 3:
        return False
    steps, gaps = np.diff(column), np.diff(np.sort(column))
    one_way = (steps > 0).all() or (steps < 0).all()
    rounding = 4 * np.spacing(np.abs(column).max())
    if one_way and np.allclose(steps, steps[0], rtol=1e-6, atol=rounding):
        return True
    if (column != np.rint(column)).any():
        return False
    if _is_identifier(name):
        return bool(np.abs(column).max() > EXACT or (gaps > 0).mean() > 1 / 2)
    return bool(np.abs(column).max() < EXACT and ((one_way and (gaps > 0).all()) or (gaps == 1).all()))


def _is_identifier(name: str) -> bool:
    words = re.sub("([a-z])([A-Z])", r"\1 \2", name).lower()  # PassengerId
    return not IDENTIFIERS.isdisjoint(re.split(r"[\W_]+", words))


def spellings(classes: Iterable[str]) -> list[list[str]]:
    """Return the groups of classes that differ in nothing but blanks, case, Unicode form or number form."""
    groups: dict[str | Decimal, list[str]] = {}
    for name in classes:
        groups.setdefault(_meant(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def missing(classes: Iterable[str]) -> list[str]:
    """Return the classes whose names are how programs say that there is none."""
    return [name for name in classes if _plain(name) in MISSING]


def _meant(name: str) -> str | Decimal:
    """What names have in common that mean the same: 1, 1.0, 01 and 1e0 are one number."""
    plain = _plain(name)
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return plain
    return number if number.is_finite() and "_" not in plain else plain


def _plain(name: str) -> str:
    """A name without case, blanks and characters that cannot be seen."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(c for c in folded if not c.isspace() and unicodedata.category(c) != "Cf")
