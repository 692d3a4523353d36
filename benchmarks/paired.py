"""How far do two trainings of the same seeds end apart? `python -m benchmarks.paired HISTORY.csv OTHER.csv`

Takes the last epoch of each seed from two files models/DATASET/RUN/history.csv, say one of arithmetic exact and one of
float32, and prints means, the paired difference with its 95 % interval (Student's t), and the harm that excludes.
"""

import argparse
from pathlib import Path

import pandas as pd

from samebits.measures.metrics import over_seeds

FIGURES = {"test_accuracy": (100.0, 2, "points"), "test_loss": (1.0, 4, "nats")}


def ends(path: Path) -> pd.DataFrame:
    """The last epoch of each seed, by seed."""
    history = pd.read_csv(path)
    last: pd.DataFrame = history[history["epoch"] == history["epoch"].max()]
    return last.set_index("seed")


def row(figure: str, first: pd.DataFrame, second: pd.DataFrame) -> str:
    """A line of the table: the first's figure, the second's, and the first minus the second."""
    unit, digits, name = FIGURES[figure]
    seeds = [seed for seed in first.index if seed in second.index]
    a, b = (unit * each.loc[seeds, figure] for each in (first, second))
    found = over_seeds((a - b).tolist())
    low, high = found["ci95"]
    interval = f"{found['mean']:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
    harm = -low if figure == "test_accuracy" else high
    means = f"{a.mean():.{digits}f} | {b.mean():.{digits}f}"
    return f"| {figure.replace('_', ' ')}, {name} | {len(seeds)} | {means} | {interval} | {max(harm, 0.0):.{digits}f} |"


def main() -> None:
    """Print the table of two histories."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    options = parser.parse_args()
    first, second = ends(options.first), ends(options.second)
    if len(set(first.index) & set(second.index)) < 2:
        parser.error("a difference has an interval from 2 common seeds on")
    print("| figure | seeds | first | second | first - second [95 % interval] | a greater harm is excluded |")
    print("|---|---|---|---|---|---|")
    for figure in FIGURES:
        print(row(figure, first, second))


if __name__ == "__main__":
    main()
