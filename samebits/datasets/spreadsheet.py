"""Tables as other programs keep them, read through pandas and made the CSV that the pipeline knows."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from samebits.base.errors import UserError
from samebits.datasets import foreign


def as_csv(path: Path) -> str | None:
    """Return the table in `path` as CSV, numbers as their shortest exact decimals; None if it needs no such thing.

    Raises UserError if it cannot be read: if it is damaged, or pandas lacks what reads it.
    """
    with path.open("rb") as stream:
        kind, _ = foreign.kind(stream) or ("", "")
    if kind not in READERS:
        return None
    try:
        return READERS[kind](path).to_csv(index=False, lineterminator="\n")
    except ImportError as error:
        raise UserError(f"{path} is {kind}, which pandas cannot read here ({error}): save it as CSV UTF-8") from None
    except Exception as error:  # each library that pandas calls has its own for a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is {kind} that cannot be read ({reason}): save it as CSV UTF-8") from None


def _arff(path: Path) -> pd.DataFrame:
    from scipy.io import arff  # here, because it costs half a second that other files need not pay

    rows, _ = arff.loadarff(io.StringIO(path.read_text(encoding="utf-8")))
    table = pd.DataFrame(rows)
    texts = table.select_dtypes(object)  # bytes, in fact
    table[texts.columns] = texts.apply(lambda text: text.str.decode("ascii"))
    return table


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "an Excel file": pd.read_excel,
    "an old Excel file": pd.read_excel,
    "an OpenDocument file": pd.read_excel,
    "a Parquet file": pd.read_parquet,
    "a Feather file": pd.read_feather,
    "an ARFF file": _arff,
}
