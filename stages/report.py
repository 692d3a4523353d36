"""Stage report: every run of every dataset as a page, a summary and tidy tables. Writes reports/."""

import os

from samebits.base import paths
from samebits.base.command_line import run_stage
from samebits.base.files import whole
from samebits.base.params import load
from samebits.datasets import catalog
from samebits.learning.arithmetic import arithmetic
from samebits.outcome.leftovers import prune
from samebits.outcome.reader import read_dataset
from samebits.report import figures, page, proof, tables
from samebits.report.lessons import charts
from samebits.report.lessons.learn import learn


def main() -> None:
    """Write reports/: index.html, summary.md for a pull request, plots/*.csv for `dvc plots`, figures/ for slides."""
    params = load()
    arithmetic("wide")  # or say why not: the lessons and the proof are computed in it, whatever the models are
    if "DVC_STAGE" in os.environ:
        outputs = [paths.PROCESSED, paths.MODELS, paths.METRICS, paths.PREDICTIONS]
        prune(outputs, known=catalog.load(paths.CATALOG).root, wanted=params.datasets)
    datasets = [read_dataset(name, params) for name in params.datasets]
    taught = learn(datasets)
    shown = page.Shown(taught, charts.figures(taught), proof.spreads(datasets), proof.read_pins())
    texts = {"index.html": page.html(datasets, params, shown), "summary.md": page.markdown(datasets, params)}
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"plots/{table.__name__}.csv": figures.csv(table(datasets)) for table in tables.ALL}
    files |= {f"figures/{name}": data for name, data in figures.files(datasets, shown)}
    for name, data in files.items():
        with whole(paths.REPORTS / name) as scratch:
            scratch.write_bytes(data)


if __name__ == "__main__":
    run_stage(main)
