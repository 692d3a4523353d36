"""history.csv, byte for byte as a training writes it: a header, and a line of figures for each epoch of each seed."""

import math
from collections.abc import Sequence
from pathlib import Path

from samebits.base.schema import cut


def read(path: Path, epochs: Sequence[tuple[int, int]], splits: Sequence[str]) -> list[str]:
    """Return the lines, the header first, of a history.csv of `splits` that has `epochs`, each a seed and an epoch.

    Raises ValueError for what no training writes, whichever its figures are.
    """
    header = ",".join(["seed", "epoch", *(f"{split}_{what}" for split in splits for what in ("loss", "accuracy"))])
    lines = path.read_bytes().decode().split("\n")
    if lines[0] != header:
        raise ValueError(f"its first line is {cut(repr(lines[0]))}, not {header}")
    if lines.pop():
        raise ValueError("its last line has no end")
    if len(lines) != 1 + len(epochs):
        raise ValueError(f"it has {len(lines) - 1} lines of figures, not {len(epochs)}")
    for number, (line, (seed, epoch)) in enumerate(zip(lines[1:], epochs, strict=True), 2):
        figures = line.removeprefix(start := f"{seed},{epoch},").split(",")
        if not line.startswith(start) or len(figures) != 2 * len(splits) or not all(map(_is_figure, figures)):
            wanted = f"seed {seed}, epoch {epoch} and {2 * len(splits)} figures"
            raise ValueError(f"line {number} is {cut(repr(line))}, not {wanted} as Python writes them")
    return lines


def _is_figure(text: str) -> bool:
    """Whether this is how Python writes a finite float64."""
    try:
        return math.isfinite(float(text)) and str(float(text)) == text
    except ValueError:
        return False
