"""One training run, from files to files: each seed in turn, then the model, its history and a log."""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from stages.command import UserError
from stages.datasets.arrays import Split, load_split, load_summary
from stages.exact import Refused
from stages.files import sha256, whole, write_csv, write_json
from stages.learning import device
from stages.learning.arithmetic import Arithmetic, arithmetic
from stages.learning.initial import Layer, weights
from stages.learning.training import Learner, fit
from stages.params import Params, Training

Build = Callable[[Arithmetic, list[Layer], Training], Learner]


def train(run: str, build: Build, params: Params, data: Path, out: Path, log: Path) -> None:
    """Train `run`, one of params.RUNS, on the splits in `data`; write model.safetensors and history.csv to `out`.

    `build` makes the learner from its first weights. `log` tells what does not belong in an output: device,
    threads, seconds, versions. Raises UserError when the data are missing or the loss stops being finite.
    """
    started, where = time.perf_counter(), device.chosen()
    block, ops, splits = params.training(run), arithmetic(params.arithmetic), _splits(data, where)
    widths = [splits["train"].images[0].numel(), *block.hidden, len(load_summary(data).classes)]
    _check(ops, block, widths, where)
    states, history = [], []
    with tqdm(total=len(block.seeds) * block.epochs, desc=f"{data.name} {run}", unit="epoch") as progress:
        for seed in block.seeds:
            layers = [(W.to(where), b.to(where)) for W, b in weights(widths, block.init_std, seed)]
            learner = build(ops, layers, block)
            for row in fit(ops, learner, splits, block, seed, name=f"{data.name} {run} seed {seed}"):
                history.append(row)
                progress.set_postfix(
                    seed=seed, loss=f"{row['train_loss']:.4f}", test=f"{row['test_accuracy']:.4f}", refresh=False
                )
                progress.update()
            states.append(learner.state())
    write_model(out / "model.safetensors", states)
    write_csv(out / "history.csv", history)
    seconds = time.perf_counter() - started
    write_json(log, {"model_sha256": sha256(out / "model.safetensors"), "seconds": seconds, **_resources(where)})


def _check(ops: Arithmetic, block: Training, widths: list[int], where: torch.device) -> None:
    """Refuse, before anything is trained, what the arithmetic cannot do."""
    try:
        ops.check(block.batch_size, widths, where)
    except Refused as error:
        raise UserError(f"arithmetic exact cannot do this: {error}; arithmetic: float32 in params.yaml can") from None


def write_model(path: Path, states: list[dict[str, Tensor]]) -> None:
    """Write what each seed learned, one state after the other along a leading axis [S, ...].

    A -0.0 becomes 0.0, so that equal weights are equal bytes.
    """
    stacked = {name: torch.stack([state[name].cpu() for state in states]) + 0.0 for name in states[0]}
    with whole(path) as scratch:
        scratch.write_bytes(save(stacked))


def _splits(data: Path, where: torch.device) -> dict[str, Split]:
    splits = {name: load_split(data, name, where) for name in ("train", "test", "validation")}
    return {name: split for name, split in splits.items() if len(split.labels)}


def _resources(where: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else platform.machine()
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"device": f"{where.type} ({name})", "threads": torch.get_num_threads(), "versions": versions}
