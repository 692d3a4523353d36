"""The chain of a seed: a hash for each epoch, of what the seed is then, of its row of history and of the hash before.

So whoever trains a seed to some epoch can tell whether all until there is as it was, and no hash can be altered without
all that follow. docs/exact.md has the bytes.
"""

import hashlib
from collections.abc import Iterable, Mapping

from torch import Tensor

from samebits import exact

BEGIN = "0" * 64  # there is none before the first


def link(before: str, row: Mapping[str, float], carried: Mapping[str, Tensor]) -> str:
    """Return the hash of an epoch: of the hash before, the epoch's line in history.csv, and what the seed carries on.

    Raises NonFinite for a NaN or an infinity in that.
    """
    return linked(before, ",".join(map(str, row.values())), carried)


def linked(before: str, line: str, carried: Mapping[str, Tensor]) -> str:
    """Return the hash of an epoch by its line of history.csv as it stands there."""
    return hashlib.sha256(f"{before}\n{line}\n{exact.digest(carried)}\n".encode()).hexdigest()


def table(rows: Iterable[Mapping[str, float]], chain: Iterable[str]) -> list[dict[str, float | str]]:
    """Return the rows of chain.csv for a seed's rows of history and its hashes."""
    return [{"seed": row["seed"], "epoch": row["epoch"], "sha256": sha} for row, sha in zip(rows, chain, strict=True)]
