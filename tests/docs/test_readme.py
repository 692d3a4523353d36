"""The figures that README.md shows are those of the committed reference."""

import json
import re
import statistics

import pytest

from samebits.base.params import RUNS
from tests.conftest import ROOT

DATASETS = {"Fashion-MNIST": "fashion_mnist", "MNIST": "mnist"}


@pytest.mark.parametrize("title", DATASETS)
def test_the_table_of_results(title):
    [row] = re.findall(rf"^\| {title} \|(.*)\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    for run, cell in zip(RUNS, row.split("|"), strict=True):
        reference = json.loads((ROOT / "reference" / DATASETS[title] / f"{run}.json").read_text())
        accuracy = reference["values"]["test_accuracy"]
        mean, std = (100 * measure(accuracy) for measure in (statistics.mean, statistics.stdev))
        assert cell.strip() == f"{mean:.2f} ± {std:.2f} %"
