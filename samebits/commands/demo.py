"""The whole pipeline on a dataset that ships inside a dependency: no network, no server, no Git, under a minute."""

import os
import shutil
from pathlib import Path
from typing import Any

from samebits.base import paths
from samebits.claims import copies, pipeline

FOLDER = Path(".demo")
# So few images make few steps: the network needs more epochs and longer strides.
PARAMS: dict[str, Any] = {"datasets": ["digits"], "mlp": {"lr": 0.1, "epochs": 40}}


def main() -> None:
    """Run the pipeline on digits in .demo/, which begins empty, and leave a report there."""
    pipeline.require(PARAMS["datasets"])  # before the last demo goes
    shutil.rmtree(FOLDER, ignore_errors=True)
    copies.copy_project(FOLDER)
    copies.set_params(FOLDER, PARAMS)
    (FOLDER / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    copies.repro([], FOLDER, os.environ)
    print(f"look at {FOLDER / paths.REPORTS}/index.html")
