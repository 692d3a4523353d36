"""One training run, from files to files: the seeds side by side, then the models, their history and a log."""

import platform
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.files import sha256, write_csv, write_json
from samebits.base.params import Params, Training
from samebits.datasets.arrays import load_summary
from samebits.datasets.split import Split, load_split
from samebits.exact import Refused
from samebits.learning import device
from samebits.learning.arithmetic import Arithmetic, arithmetic
from samebits.learning.description import Description
from samebits.learning.initial import Layer, first_layers
from samebits.learning.save import write_model
from samebits.learning.training import Learner, fit

TOGETHER = 2**21  # weights of the seeds that train side by side, in all: what a machine holds in its memory with ease

Build = Callable[[Arithmetic, list[Layer], Training], Learner]


def train(dataset: str, run: str, build: Build, params: Params) -> None:
    """Train `run`, one of params.RUNS, on a dataset's splits; write its model.safetensors and history.csv.

    `build` makes the learner from its first weights. A log tells what does not belong in an output: device,
    threads, seconds, versions. Raises UserError when the data are missing or a loss stops being finite.
    """
    started, where, data = time.perf_counter(), device.chosen(), paths.processed(dataset)
    block, ops, summary = params.training(run), arithmetic(params.arithmetic, where), load_summary(data)
    splits = _splits(data, where)
    height, width = summary.image
    widths = [height * width, *block.hidden, len(summary.classes)]
    _check(ops, block, widths, where)
    states, history = [], []
    with tqdm(total=len(block.seeds) * block.epochs, desc=f"{dataset} {run}", unit="epoch") as progress:
        for seeds in groups(block.seeds, widths):
            learner = build(ops, first_layers(widths, block.init_std, seeds, where), block)
            for rows in fit(ops, learner, splits, block, seeds, name=f"{dataset} {run}"):
                history += rows
                loss, test = (sum(row[key] for row in rows) / len(rows) for key in ("train_loss", "test_accuracy"))
                progress.set_postfix(seeds=len(seeds), loss=f"{loss:.4f}", test=f"{test:.4f}", refresh=False)
                progress.update(len(seeds))
            states.append(learner.state())
    description = Description(dataset, run, params.arithmetic, summary.classes, [height, width], block.seeds)
    write_model(model := paths.model(dataset, run), states, description)
    write_csv(paths.history(dataset, run), sorted(history, key=lambda row: block.seeds.index(int(row["seed"]))))
    seconds = time.perf_counter() - started
    write_json(paths.log(dataset, run), {"model_sha256": sha256(model), "seconds": seconds, **_resources(where)})


def groups(seeds: list[int], widths: list[int]) -> Iterator[list[int]]:
    """Split the seeds into those that train side by side; no result depends on how."""
    size = max(1, TOGETHER // sum(a * b for a, b in pairwise(widths)))
    for start in range(0, len(seeds), size):
        yield seeds[start : start + size]


def _check(ops: Arithmetic, block: Training, widths: list[int], where: torch.device) -> None:
    """Refuse, before anything is trained, what the arithmetic cannot do."""
    try:
        ops.require_sizes(block.batch_size, widths, where)
    except Refused as error:
        raise UserError(f"arithmetic exact cannot do this: {error}; arithmetic: float32 in params.yaml can") from None


def _splits(data: Path, where: torch.device) -> dict[str, Split]:
    splits = {name: load_split(data, name, where) for name in ("train", "test", "validation")}
    return {name: split for name, split in splits.items() if len(split.labels)}


def _resources(where: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else platform.machine()
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"device": f"{where.type} ({name})", "threads": torch.get_num_threads(), "versions": versions}
