"""The report as one HTML page that needs nothing beside it, and as Markdown for a pull request."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from samebits.base.markdown import plain
from samebits.base.params import Network, Params, Training
from samebits.learning.arithmetic import VERSIONS
from samebits.outcome.finished import Dataset, Run
from samebits.report import charts, class_templates, published, tables, thumbnails
from samebits.report.gallery import Gallery, gallery
from samebits.report.lessons.learn import Lessons
from samebits.report.lessons.untrained import must
from samebits.report.notes import beside
from samebits.report.proof import Pin, Spread
from samebits.report.style import colors

MODELS = {
    "scratch": "softmax regression from raw tensors",
    "concise": "softmax regression with nn.Module",
    "mlp": "a multilayer network with nn.Module",
}


Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """What the page shows beside the runs: see lessons and proof. Figures are SVG and description by name."""

    lessons: Lessons
    figures: dict[str, tuple[str, str]]
    spreads: list[Spread]
    pins: list[Pin]


def html(datasets: list[Dataset], params: Params, shown: Shown) -> str:
    """Render the page: figures as inline SVG, images as data, no script and no request to anywhere."""
    return _render("report.html.j2", datasets, params, shown)


def markdown(datasets: list[Dataset], params: Params) -> str:
    """Render the table of results."""
    return _render("summary.md.j2", datasets, params)


def _render(template: str, datasets: list[Dataset], params: Params, shown: Shown | None = None) -> str:
    environment = Environment(
        loader=PackageLoader("samebits.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        plain=plain,
        percent=percent,
        loss=loss,
        points=points,
        signed=signed,
        spread=spread,
        data_uri=thumbnails.data_uri,
    )
    environment.globals.update(
        percent=percent,
        probability=probability,
        model=model,
        colors=colors(params.runs),
        rates=rates,
        curves=learning_curves,
        matrix=confusion_matrix,
        most_classes=charts.MOST_CLASSES,
        reliability=reliability,
        drawn_templates=drawn_templates,
        worth_a_look=worth_a_look,
        published=[row for row in published.FIGURES if row.dataset in [dataset.name for dataset in datasets]],
        network=network,
        shared=shared,
        arithmetic=VERSIONS[params.arithmetic],
        shown=shown,
        lesson_figure=lesson_figure,
        must=must,
        beside=[row for dataset in datasets for row in beside(dataset)],
        several_seeds=any(len(run.training.seeds) > 1 for dataset in datasets for run in dataset.runs),
        titles=" and ".join(", ".join(dataset.summary["title"] for dataset in datasets).rsplit(", ", 1)),
    )
    return environment.get_template(template).render(datasets=datasets, params=params)


def percent(share: float) -> str:
    """Write a share of 1 with two decimals of a percent: exact where ten thousand images are counted."""
    return f"{100 * share:.2f} %"


def loss(nats: float) -> str:
    """Write a loss with four decimals."""
    return f"{nats:.4f}"


def points(difference: float) -> str:
    """Write a difference of two shares of 1 in points of a percent, with its sign."""
    return _minus(f"{100 * difference:+.2f}")


def signed(difference: float) -> str:
    """Write a difference of two losses with its sign."""
    return _minus(f"{difference:+.4f}")


def probability(p: float) -> str:
    """Write a probability with three decimals, a small one as less than the least of those."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def spread(values: list[float], write: Callable[[float], str] = str) -> str:
    """Write the least and the most of `values`; once, if they read the same."""
    least, most = write(min(values)), write(max(values))
    return least if least == most else f"{least} to {most}"


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def model(run: Run) -> str:
    """Say in a few words what a run is."""
    return MODELS.get(run.name, f"networks/{run.name}.py")


def rates(run: Run) -> str:
    """Say what moves a run's weights, beside the learning rate."""
    if isinstance(run.training, Training):
        return str(run.training.momentum)
    others = [f"{name} {value}" for name, value in run.training.rates.items() if name != "lr"]
    return ", ".join([run.training.optimizer, *others])


def shared(a: Training | Network, b: Training | Network) -> str:
    """Name what two runs of one dataset share that are trained with one seed: see samebits.learning.initial."""
    if not isinstance(a, Training) or not isinstance(b, Training):
        return "order of images"
    alike = (a.hidden, a.init_std) == (b.hidden, b.init_std)
    return "first weights and order of images" if alike else "order of images"


def network(dataset: Dataset, run: Run) -> str:
    """Name the layers' widths, as 784-520-10; of a network of one's own what its layers are."""
    if run.layers:
        return ", ".join(run.layers)
    height, width = dataset.summary["image"]
    return "-".join(map(str, [height * width, *run.block.hidden, len(dataset.summary["classes"])]))


def worth_a_look(dataset: Dataset, run: Run) -> Gallery:
    """Choose what of a run's predictions is shown."""
    return gallery(run.predictions, dataset.images)


def drawn_templates(dataset: Dataset) -> list[tuple[Run, Pictures]]:
    """Return the runs whose class templates can be drawn, with the pictures [K, H, W, 3]."""
    found = [(run, class_templates.of(run, dataset.summary["image"])) for run in dataset.runs]
    return [(run, class_templates.pictures(templates)) for run, templates in found if templates is not None]


def learning_curves(dataset: Dataset, run: Run) -> Markup:
    """Draw the run's history, described in words for those who do not see it."""
    epochs = [
        [fmean(rows[f"test_{quantity}"].tolist()) for quantity in ("loss", "accuracy")]
        for _, rows in run.history.groupby("epoch")
    ]
    (first_loss, first_accuracy), (last_loss, last_accuracy) = epochs[0], epochs[-1]
    description = (
        f"Learning curves of {run.name} on {dataset.summary['title']}: from the first to the last epoch "
        f"the test loss goes from {loss(first_loss)} to {loss(last_loss)}, "
        f"the test accuracy from {percent(first_accuracy)} to {percent(last_accuracy)}."
    )
    svg = charts.to_svg(charts.learning_curves(run.history, colors(dataset.names)[run.name]))
    return inline(svg, f"{dataset.name}-{run.name}-curves", description)


def confusion_matrix(dataset: Dataset, run: Run, percent: bool = False) -> Markup:
    """Draw the run's confusion matrix, in counts or % of a row, described in words for those who do not see it."""
    right = run.confusion[run.confusion["actual"] == run.confusion["predicted"]]
    description = (
        f"Confusion matrix of {run.name} on {dataset.summary['title']}: {right['count'].sum()} of "
        f"{run.confusion['count'].sum()} test images are on its diagonal. {_worst(run.confusion)}"
    )
    figure = charts.confusion_matrix(
        run.confusion, dataset.summary["classes"], colors(dataset.names)[run.name], percent
    )
    return inline(charts.to_svg(figure), f"{dataset.name}-{run.name}-{'shares' if percent else 'matrix'}", description)


def reliability(dataset: Dataset, run: Run) -> Markup:
    """Draw how far the run's probabilities keep their word, described in words for those who do not see it."""
    found = run.calibration
    description = (
        f"Reliability of {run.name} on {dataset.summary['title']}: probability and share that is right are "
        f"{percent(found['ece']['per_seed'][0])} apart on an average, {percent(found['scaled']['ece'])} once scaled."
    )
    svg = charts.to_svg(charts.reliability(tables.reliability_of(run), colors(dataset.names)[run.name]))
    return inline(svg, f"{dataset.name}-{run.name}-reliability", description)


def lesson_figure(shown: Shown, name: str) -> Markup:
    """Show a lesson's figure, described in words for those who do not see it."""
    svg, description = shown.figures[name]
    return inline(svg, f"lesson-{name}", description)


def _worst(confusion: pd.DataFrame) -> str:
    wrong = confusion[(confusion["actual"] != confusion["predicted"]) & (confusion["count"] > 0)]
    if wrong.empty:
        return "No class is taken for another."
    worst = wrong.iloc[wrong["count"].argmax()]
    return f"Most often {worst['actual']} is taken for {worst['predicted']}: {worst['count']} times."


def inline(svg: str, name: str, description: str) -> Markup:
    """Make an SVG document part of a page: ids of its own, a description, the page's width and background."""
    box, body = re.fullmatch(r'<svg[^>]*(viewBox="[^"]*")[^>]*>(.*)', svg, re.DOTALL).groups()  # type: ignore[union-attr]
    body = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", body)
    return Markup('<svg {} role="img" aria-label="{}">{}').format(Markup(box), description, Markup(body))
