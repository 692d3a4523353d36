"""The table of docs/predict.md is that of benchmarks/scans.py, and its goal is reached."""

import re

from benchmarks.scans import KINDS, NOTHING
from tests.conftest import ROOT


def test_the_table_of_pictures():
    rows = re.findall(r"^\| (.*) \| (.*) \| (.*) \| (.*) %? \|$", (ROOT / "docs/predict.md").read_text(), re.MULTILINE)
    table = {kind: right for kind, _, right, flagged in rows if kind in KINDS}
    assert list(table) == list(KINDS)
    assert all(float(right.removesuffix(" %")) >= 90 for kind, right in table.items() if not kind.startswith(NOTHING))
