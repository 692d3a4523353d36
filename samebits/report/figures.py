"""The figures one by one, for slides: each as SVG or PNG, and as the CSV that it was drawn from."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from samebits.outcome.finished import Dataset, Run
from samebits.report import charts, class_templates, proof, tables, thumbnails
from samebits.report.page import Shown
from samebits.report.style import colors


def files(datasets: list[Dataset], shown: Shown) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file: DATASET-RUN-KIND.svg, .png and .csv, and those of lessons and proof."""
    for dataset in datasets:
        for run in dataset.runs:
            for kind, drawn, table in _drawn(dataset, run):
                yield f"{dataset.name}-{run.name}-{kind}", drawn
                yield f"{dataset.name}-{run.name}-{kind.partition('.')[0]}.csv", csv(table)
    for name, (svg, _) in shown.figures.items():
        yield f"{name}.svg", svg.encode()
    for name, table in {**shown.lessons.frames(), "orders": proof.frame(shown.spreads)}.items():
        yield f"{name}.csv", csv(table, nothing="nan")


def _drawn(dataset: Dataset, run: Run) -> Iterator[tuple[str, bytes, pd.DataFrame]]:
    color, classes, bins = colors(dataset.names)[run.name], dataset.summary["classes"], tables.reliability_of(run)
    svgs = {
        "curves": (charts.learning_curves(run.history, color), tables.by_split(run)),
        "reliability": (charts.reliability(bins, color), bins),
    }
    if len(classes) <= charts.MOST_CLASSES:
        for kind, percent in (("confusion", False), ("confusion_share", True)):
            svgs[kind] = charts.confusion_matrix(run.confusion, classes, color, percent), tables.shares(run)
    for kind, (figure, table) in svgs.items():
        yield f"{kind}.svg", charts.to_svg(figure).encode(), table
    templates = class_templates.of(run, dataset.summary["image"])
    if templates is not None:
        strip = np.concatenate(list(class_templates.pictures(templates)), axis=1)
        yield "templates.png", thumbnails.png(strip), class_templates.table(templates, classes)


def csv(table: pd.DataFrame, nothing: str = "") -> bytes:
    """Write a table the same everywhere."""
    return table.to_csv(index=False, lineterminator="\n", na_rep=nothing).encode()
