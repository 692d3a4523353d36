"""Data of one's own, made up: a table of counts and a folder of pictures."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ["bar", "cross", "null"]  # the last is what pandas would take for a missing value


def write_table(path, rows=600, features=93, classes=9, seed=0):
    """Counts around a centre of each class, sorted by class, as the Otto products are: id, feat_1 ..., target."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 6, (classes, features))
    labels = np.sort(np.arange(rows) % classes)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *(f"feat_{i + 1}" for i in range(features)), "target"])
        for i, (counts, label) in enumerate(zip(rng.poisson(centres[labels]), labels, strict=True)):
            writer.writerow([i + 1, *counts, f"Class_{label + 1}"])


def write_pictures(folder, each=20, side=12):
    """Noise with a bar, a cross or nothing on it: folder/CLASS/0.png ..."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 60, (side, side), np.uint8)
            if name != "null":
                pixels[side // 2] = 255
            if name == "cross":
                pixels[:, side // 2] = 255
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def edited(path, row, column, cell):
    """Put `cell` into a row, as a spreadsheet numbers it, and a column, by number from 0."""
    rows = list(csv.reader(Path(path).read_text().splitlines()))
    rows[row - 1][column] = cell
    Path(path).write_text("\n".join(map(",".join, rows)) + "\n")
