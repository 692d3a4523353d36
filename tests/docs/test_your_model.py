"""docs/your-model.md, followed to the letter on digits: its file, its block, its commands."""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from samebits.learning.arithmetic import arithmetic
from samebits.learning.own import asked
from tests.conftest import ROOT, make_checkout, run
from tests.docs.test_tutorial import BLOCK
from tests.stages.test_networks import QUICK
from tests.stages.test_pipeline import outputs, set_param

PAGE = ROOT / "docs/your-model.md"


def test_the_page(tmp_path):
    folder = make_checkout(tmp_path / "samebits")
    (kind, source), (yaml, block), (second, residual), (sh, commands) = BLOCK.findall(PAGE.read_text())
    assert (kind, yaml, second, sh) == ("python", "yaml", "python", "sh")
    (tmp_path / "residual.py").write_text(residual)
    layers = asked(tmp_path / "residual.py", arithmetic("exact"), (8, 8), 10, {})
    assert [each["layer"] for each in layers].count("Add") == 2
    named, body = source.split("\n", 1)
    (folder / named.removeprefix("# ")).write_text(body)
    said, block = block.split("\n", 1)
    for old, new in QUICK:  # of the other runs
        set_param(folder, old, new)
    params = (folder / "params.yaml").read_text()
    lines = [said if line.startswith("networks:") else line for line in params.splitlines()]
    (folder / "params.yaml").write_text("\n".join([*lines, block]))
    shows = [typed(folder, line) for line in commands.splitlines()]
    assert "digits small" in shows[1]
    assert "digit.npy: " in shows[2]
    assert {"metrics/digits/networks/small.json", "predictions/digits/networks/small.csv"} <= set(outputs(folder))
    assert "small" in (folder / "reports/index.html").read_text()
    metrics = json.loads((folder / "metrics/digits/networks/small.json").read_text())
    assert metrics["test"]["accuracy"]["mean"] > 0.8
    assert metrics["parameters"] == 6 * 9 + 6 + 2 * 6 + 6 * 16 * 10 + 10


def typed(folder: Path, command: str) -> str:
    """What a command says."""
    if "digit.npy" in command:
        images = load_file(folder / "data/processed/digits/test.safetensors")["images"]
        np.save(folder / "digit.npy", images[0])
    name, *arguments = command.split()
    assert name == "samebits"
    done = run(sys.executable, "-m", "samebits", *arguments, cwd=folder)
    return done.stdout + done.stderr


def test_the_walk_is_short_and_lenet_has_its_table():
    walk, _, lenet = PAGE.read_text().partition("## LeNet\n")
    assert len(walk.splitlines()) <= 110
    assert len([line for line in lenet.splitlines() if "MNIST | test" in line]) == 4
