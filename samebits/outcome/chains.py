"""chain.csv, read: a hash for each epoch of each seed."""

import re
from pathlib import Path

Chain = dict[tuple[int, int], str]  # by seed and epoch, as they follow each other in the file

HEADER = "seed,epoch,sha256"
LINE = re.compile(r"(0|[1-9]\d{0,9}),([1-9]\d{0,9}),([0-9a-f]{64})", re.ASCII)


def read(path: Path) -> Chain:
    """Read a chain.csv. Raises ValueError for what is none."""
    header, *lines = path.read_bytes().decode().split("\n")
    if header != HEADER or not lines or lines.pop():
        raise ValueError(f"it is not lines of {HEADER}")
    found = {}
    for number, line in enumerate(lines, 2):
        if not (match := LINE.fullmatch(line)):
            raise ValueError(f"line {number} is not a seed, an epoch and a SHA-256")
        found[int(match[1]), int(match[2])] = match[3]
    if len(found) < len(lines):
        raise ValueError("an epoch of a seed is there twice")
    return found
