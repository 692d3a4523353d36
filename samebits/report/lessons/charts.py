"""The lessons' figures, each with a description in words for those who do not see it."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samebits.report.charts import ACCENT, INK, styled, to_svg
from samebits.report.lessons import printed
from samebits.report.lessons.beside import MINUS
from samebits.report.lessons.code import TRUE, mean_bits
from samebits.report.lessons.learn import Lessons
from samebits.report.lessons.overflow import limits

WARNING = "#c05000"  # of the same darkness as ACCENT
DESCRIPTIONS = {
    "surprisal": f"The curve of {MINUS}log p: it falls from 4.6 at p = 0.01 through 0.69 at p = 0.5 to 0 at p = 1, "
    "and goes through the ten points that notes A print.",
    "gradient": "Two rows of bars for three classes: the probabilities beside the one-hot label, and their "
    "difference, below zero for the right class and above it for the others.",
    "overflow": "The loss over the size of the logits: by log-sum-exp a straight line without end; by the naive form "
    "it ends at 52, where the probability underflows to zero.",
    "cross_entropy": "Code length over the share that the code was made for: a valley whose bottom, the entropy of "
    "0.81 bits, is at the true share, 0.75.",
    "costs": "The cost over a thousand steps, falling from 1.62 to 0.25, with the eleven printed costs on the curve.",
}


def figures(lessons: Lessons) -> dict[str, tuple[str, str]]:
    """Draw every figure: by name, which is also that of its table, an SVG document and what it shows."""
    draw = (surprisal, gradient, overflow, cross_entropy, costs)
    return {function.__name__: (to_svg(function(lessons)), DESCRIPTIONS[function.__name__]) for function in draw}


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4, 2.8))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.11, right=0.96, top=0.9, bottom=0.15)
    axes.set_title(y)
    axes.set_xlabel(x)
    return figure, axes


@styled
def surprisal(lessons: Lessons) -> Figure:
    """The curve of -log p and the printed points on it."""
    figure, axes = _axes("p", f"{MINUS}log p, nats")
    curve = lessons.tables["surprisal"]
    axes.plot(curve["p"], curve["surprisal"], color=ACCENT, label="here")
    points = [(i / 10, float(text)) for i, text in enumerate(printed.SURPRISAL) if text != "inf"]
    axes.plot(*zip(*points, strict=True), "o", color=INK, label="printed in notes A")
    axes.set(xlim=(0, 1.02), ylim=(-0.1, 4.8))
    axes.legend(loc="upper right")
    return figure


@styled
def gradient(lessons: Lessons) -> Figure:
    """The probabilities beside the one-hot label, and what is left of them: the gradient."""
    figure = Figure(figsize=(4, 2.8))
    above, below = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.11, right=0.96, top=0.91, bottom=0.1, hspace=0.35)
    table = lessons.tables["gradient"]
    classes = [float(k) for k in range(len(table))]
    above.set_title("probabilities p and label y")
    above.bar([k - 0.17 for k in classes], table["p"], 0.32, color=ACCENT, label="p")
    above.bar([k + 0.17 for k in classes], table["y"], 0.32, color=INK, alpha=0.35, label="y")
    above.set_ylim(0, 1.05)
    above.legend(loc="upper right", ncols=2)
    below.set_title(f"gradient p {MINUS} y")
    below.bar(classes, table["p_minus_y"], 0.5, color=WARNING)
    below.axhline(0, color=INK, alpha=0.5, linewidth=0.8)
    below.set_xticks(classes, [f"class {k:g}, z = {z:g}" for k, z in zip(classes, table["z"], strict=True)])
    below.tick_params(axis="x", length=0)
    below.set_ylim(-0.5, 0.5)
    for k, value in zip(classes, table["p_minus_y"], strict=True):
        below.text(k, max(value, 0) + 0.05, f"{value:+.2f}".replace("-", MINUS), ha="center", size=7)
    return figure


@styled
def overflow(lessons: Lessons) -> Figure:
    """The loss by the naive form and by log-sum-exp over the size of the logits."""
    figure, axes = _axes(f"s, of the logits [s, 0, {MINUS}s]", "loss of the third class, nats")
    least, most = limits()
    table = lessons.tables["overflow"]
    table = table[table["size"] <= 120]
    axes.axvspan(least, most, color=WARNING, alpha=0.12, linewidth=0)
    axes.axvspan(most, 120, color=WARNING, alpha=0.28, linewidth=0)
    axes.text((least + most) / 2, 8, "naive: inf\n(log 0)", ha="center", size=7)
    axes.text((most + 120) / 2, 8, "naive: inf,\nits softmax: nan", ha="center", size=7)
    axes.plot(table["size"], table["loss"], color=ACCENT, label="log-sum-exp")
    finite = table[table["naive_loss"] < math.inf]
    axes.plot(finite["size"], finite["naive_loss"], "o", color=INK, markersize=3, label="naive, float32")
    axes.set(xlim=(0, 120), ylim=(0, 250))
    axes.legend(loc="upper left")
    return figure


@styled
def cross_entropy(lessons: Lessons) -> Figure:
    """The code length over the share that the code was made for."""
    figure, axes = _axes("q, the share that the code was made for", "code length, bits")
    curve = lessons.tables["cross_entropy"]
    entropy = mean_bits([TRUE, 1 - TRUE], [TRUE, 1 - TRUE])
    axes.fill_between(curve["q"], entropy, curve["length"], color=WARNING, alpha=0.15, linewidth=0, label="lost")
    axes.axhline(entropy, color=INK, linestyle="--", linewidth=1, label="entropy")
    axes.plot(curve["q"], curve["length"], color=ACCENT, label="cross entropy")
    axes.plot([TRUE], [entropy], "o", color=INK, markersize=4)
    axes.set(xlim=(0, 1), ylim=(0, 4))
    axes.legend(loc="upper right")
    return figure


@styled
def costs(lessons: Lessons) -> Figure:
    """The cost of learning eight rows and the printed ones on it."""
    figure, axes = _axes("step", "cost, nats")
    table = lessons.tables["costs"]
    axes.plot(table["step"], table["cost"], color=ACCENT, linewidth=1, label="here")
    points = [(printed.EVERY * i, float(text)) for i, text in enumerate(printed.COSTS)]
    axes.plot(*zip(*points, strict=True), "o", color=INK, markersize=3.5, label="printed in notes D")
    axes.set_ylim(0, 1.7)
    axes.legend(loc="upper right")
    return figure
