"""Charts as SVG whose bytes depend on nothing but the numbers drawn: the only module that imports matplotlib."""

import functools
import io
import re
import warnings
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import Any, ParamSpec, TypeVar

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

INK = "#1f2328"  # to_svg turns it into currentColor, so that a chart follows the theme of its page
ACCENT = "#2b75b3"  # like the runs' colours: 3:1 against white and near black, and 4.5:1 under white text
STYLE: dict[Any, Any] = {
    "axes.edgecolor": (INK, 0.3),
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "font.size": 8,
    "grid.alpha": 0.12,
    "grid.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 2.5,
    "svg.fonttype": "none",  # text stays text: to be read, searched and spoken
    "svg.hashsalt": "samebits",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called $5
    "xtick.color": (INK, 0.3),
    "xtick.labelcolor": INK,
    "ytick.color": (INK, 0.3),
    "ytick.labelcolor": INK,
    "ytick.major.size": 0,
}
SPLITS = {"train": "--", "validation": ":", "test": "-"}  # the line of each split; test is drawn last, on top
METADATA = dict.fromkeys(["Creator", "Date", "Format", "Type"])  # none of them

MOST_CLASSES = 50  # of a confusion matrix that can still be read

P = ParamSpec("P")
T = TypeVar("T")


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """Run `function` under matplotlib's own defaults and STYLE, whatever the user's matplotlibrc says."""

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return function(*args, **kwargs)

    return drawn


@styled
def learning_curves(history: pd.DataFrame, color: str = ACCENT) -> Figure:
    """Draw one run's loss and accuracy over its epochs: the mean of the seeds, within a band from least to most.

    history: seed, epoch and SPLIT_loss, SPLIT_accuracy for the splits train, test and perhaps validation.
    """
    figure = Figure(figsize=(4, 4))
    panels = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.11, right=0.98, top=0.94, bottom=0.11, hspace=0.25)
    for panel, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        panel.set_title(quantity)
        panel.yaxis.set_major_locator(MaxNLocator(nbins=5))
        for split, line in SPLITS.items():
            if f"{split}_{quantity}" in history:
                paint = color if split == "test" else INK
                _curve(panel, history.groupby("epoch")[f"{split}_{quantity}"].agg(list), paint, line, split)
    panels[0].legend(loc="upper right", ncols=len(SPLITS))
    panels[1].set_xlabel("epoch")
    panels[1].xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    return figure


def _curve(panel: Axes, values: "pd.Series[Any]", color: str, line: str, label: str) -> None:
    """Draw, for each epoch's list of values, one a seed, their mean and a band from the least to the most."""
    epochs, means = values.index.tolist(), [fmean(each) for each in values]
    if any(len(each) > 1 for each in values):
        least, most = [min(each) for each in values], [max(each) for each in values]
        panel.fill_between(epochs, least, most, color=color, alpha=0.15, linewidth=0)
    panel.plot(epochs, means, line, color=color, marker="o", label=label)  # one epoch alone is a marker


@styled
def confusion_matrix(confusion: pd.DataFrame, classes: list[str], color: str = ACCENT, percent: bool = False) -> Figure:
    """Draw the counts, or each as its share of the row in %; a cell's shade is the square root of that share, so
    that errors show.

    confusion: actual, predicted (class names) and count for each pair; classes: the order of rows and columns.
    """
    classes = [str(name) for name in classes]  # pandas reads the class 7 as a number
    figure = Figure(figsize=(4, 4))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.22, right=0.99, top=0.78, bottom=0.01)
    figure.text(0.01, 0.99, "actual ↓\npredicted →", va="top")
    axes.set(xlim=(0, len(classes)), ylim=(len(classes), 0), aspect="equal")
    middles = [i + 0.5 for i in range(len(classes))]
    axes.set_xticks(middles, classes, rotation=90)
    axes.set_yticks(middles, classes)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for row, column, count, share in _cells(confusion, classes):
        axes.add_patch(Rectangle((column, row), 1, 1, color=color, alpha=share**0.5, linewidth=0, clip_on=False))
        if len(classes) <= 12:
            ink = "white" if share > 0.8 else INK
            text = f"{100 * share:.1f}" if percent else str(count)
            axes.text(column + 0.5, row + 0.5, text, color=ink, size=7, ha="center", va="center_baseline")
    return figure


@styled
def reliability(bins: pd.DataFrame, color: str = ACCENT) -> Figure:
    """Draw accuracy over confidence, as it is and scaled, beside the diagonal of a model that keeps its word.

    bins: logits ("as they are" or "scaled"), count, confidence and accuracy of each bin. Below, how many images are so
    sure of their class.
    """
    figure = Figure(figsize=(4, 4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    figure.subplots_adjust(left=0.13, right=0.98, top=0.94, bottom=0.11, hspace=0.12)
    above.plot([0, 1], [0, 1], ":", color=INK, alpha=0.5, label="as sure as right")
    for name, line, paint in (("scaled", "--", INK), ("as they are", "-", color)):
        rows = bins[bins["logits"] == name]
        above.plot(rows["confidence"].tolist(), rows["accuracy"].tolist(), line, color=paint, marker="o", label=name)
    raw = bins[bins["logits"] == "as they are"]
    total, width = raw["count"].sum(), raw["upper"] - raw["lower"]
    below.bar(raw["lower"].tolist(), (raw["count"] / total).tolist(), width.tolist(), align="edge", color=color)
    above.set_title("share that is right")
    above.set(xlim=(0, 1), ylim=(0, 1))
    above.legend(loc="upper left")
    below.set(ylabel="share of images", xlabel="probability of the class that is named")
    below.yaxis.set_major_locator(MaxNLocator(nbins=3))
    return figure


def _cells(confusion: pd.DataFrame, classes: list[str]) -> Iterator[tuple[int, int, int, float]]:
    """Yield row, column, count and share of the row for each pair that occurs."""
    totals = confusion.groupby("actual")["count"].sum()
    for actual, predicted, count in confusion[["actual", "predicted", "count"]].itertuples(index=False):
        if count:
            yield classes.index(str(actual)), classes.index(str(predicted)), count, count / totals[actual]


@styled
def to_svg(figure: Figure) -> str:
    """Return `figure` as an SVG document: text as text, coordinates to 0.01 point, no date and no version.

    Rounding keeps the last bits of one processor's arithmetic out of the bytes.
    """
    document = io.StringIO()
    with warnings.catch_warnings():
        # Text is drawn by whoever shows it, in fonts of theirs: what this one lacks misses nothing.
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        figure.savefig(document, format="svg", transparent=True, metadata=METADATA)
    svg = document.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg", '<svg style="background: white"', 1).replace(INK, "currentColor")
    svg = re.sub(r"font-family: [^;\"]+", "font-family: sans-serif", svg)
    return re.sub(r"<[^>]+>", lambda tag: re.sub(r"-?\d+\.\d{3,}", _rounded, tag[0]), svg)


def _rounded(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 2) + 0.0:g}"  # + 0.0 makes -0.0 a plain 0
