"""One training run, from files to files: the course of its seeds, then the models, their history and a log."""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from samebits.base import paths
from samebits.base.errors import UserError, reason
from samebits.base.files import sha256, write_csv, write_json
from samebits.base.params import Params
from samebits.datasets.arrays import Summary, load_summary
from samebits.datasets.scale import SCALE, Scale
from samebits.datasets.split import Split, load_split
from samebits.exact import Refused
from samebits.learning import chain, device
from samebits.learning.arithmetic import VERSIONS, Name, arithmetic
from samebits.learning.course import Build, Course, Standing
from samebits.learning.description import Description
from samebits.learning.save import write_model

# Takes seeds to their end, whoever computes that: one for each of the course's, in its order.
Trained = Callable[[Course], list[Standing]]


def train(dataset: str, run: str, build: Build, params: Params, trained: Trained) -> None:
    """Train `run`, one of params.RUNS, on a dataset's splits, as `complete` does.

    `build` makes the learner from its first weights. Raises UserError when the data are missing, too.
    """
    summary = load_summary(paths.processed(dataset))
    complete(course_of(run, build, params, summary, device.chosen()), run, params, summary, trained)


def complete(course: Course, run: str, params: Params, summary: Summary, trained: Trained) -> None:
    """Take a course to its end; write its model.safetensors, history.csv and chain.csv.

    A log tells what does not belong in an output: device, threads, seconds, versions. Raises UserError when a loss
    stops being finite.
    """
    started, where, dataset = time.perf_counter(), course.where, summary.dataset
    ends = trained(course)
    version, seeds = VERSIONS[params.arithmetic], course.block.seeds
    columns = _columns(paths.processed(dataset) / SCALE, summary)
    description = Description(dataset, run, version, summary.classes, summary.image, seeds, columns, course.layers)
    write_model(model := paths.model(dataset, run), [dict(end.carried) for end in ends], description)
    write_csv(paths.history(dataset, run), [row for end in ends for row in end.rows])
    write_csv(paths.chain(dataset, run), [row for end in ends for row in chain.table(end.rows, end.chain)])
    seconds = time.perf_counter() - started
    log(dataset, run, {"model_sha256": sha256(model), "seconds": seconds, **_resources(where)})


def course_of(run: str, build: Build, params: Params, summary: Summary, where: torch.device) -> Course:
    """Return what the seeds of `run` go through on a dataset. Raises UserError when its splits cannot be read, or
    the arithmetic cannot do this.
    """
    block, splits = params.training(run), splits_of(paths.processed(summary.dataset), where)
    height, width = summary.image
    widths = [height * width, *block.hidden, len(summary.classes)]
    require_sizes(params.arithmetic, block.batch_size, widths, where)
    return Course(f"{summary.dataset} {run}", params.arithmetic, block, build, splits, widths, where)


def require_sizes(name: Name, batch_size: int, widths: list[int], where: torch.device) -> None:
    """Raise UserError for widths that an arithmetic cannot do."""
    try:
        arithmetic(name, where).require_sizes(batch_size, widths, where)
    except Refused as error:
        refused = f"arithmetic {name} cannot do this: {error}; arithmetic: float32 in params.yaml can"
        raise UserError(refused) from None


def log(dataset: str, run: str, values: dict[str, Any]) -> None:
    """Write the log, as far as that can be: it is no output, and must never cost one."""
    try:
        write_json(paths.log(dataset, run), values)
    except OSError as error:
        print(f"note: {paths.log(dataset, run)} cannot be written: {reason(error)}", flush=True)


def splits_of(data: Path, where: torch.device) -> dict[str, Split]:
    """Return the splits of data/processed/DATASET that hold images. Raises UserError if they are not to be read."""
    splits = {name: load_split(data, name, where) for name in ("train", "test", "validation")}
    return {name: split for name, split in splits.items() if len(split.labels)}


def _columns(path: Path, summary: Summary) -> list[tuple[str, float, float]] | None:
    """A table's columns, which its model takes along so that it can be asked anywhere."""
    if not path.exists():
        return None
    ranges = Scale.read(path).ranges()
    if [1, len(ranges)] != summary.image:
        raise UserError(f"{path} is of other splits than those beside it: run `dvc repro` again")
    return ranges


def _resources(where: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else platform.machine()
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"device": f"{where.type} ({name})", "threads": torch.get_num_threads(), "versions": versions}
