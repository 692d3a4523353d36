"""What one kind of machine computes, as hashes: `python -m samebits.claims.machines.witness` prints them as JSON.

Every operation of exact arithmetic over a million inputs, resizing, and each file that the pipeline writes when it
learns digits; and as a control one network in float32, whose bits are this kind's own.
"""

import contextlib
import importlib
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator

import torch

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.base.source import ROOT
from samebits.claims.machines import golden
from samebits.claims.machines.description import description
from samebits.datasets.prepare import resize
from samebits.exact import Refused
from samebits.exact.random import draws

PARAMS = """
datasets: [digits]
networks: [lenet, lenet_adam]
arithmetic: {arithmetic}
preprocess: {{resize: null, validation_size: 0}}
scratch: {{seeds: [0, 1], epochs: 2, batch_size: 256, lr: 0.5, momentum: 0.0, init_std: 0.01, hidden: []}}
concise: {{seeds: [0, 1], epochs: 2, batch_size: 256, lr: 0.5, momentum: 0.5, init_std: 0.01, hidden: []}}
mlp: {{seeds: [0, 1], epochs: 2, batch_size: 64, lr: 0.3, momentum: 0.5, init_std: null, hidden: [24, 16]}}
lenet: {{seeds: [0, 1], epochs: 2, batch_size: 256, optimizer: SGD, lr: 0.1, momentum: 0.9, schedule: linear}}
lenet_adam: {{seeds: [0, 1], epochs: 1, batch_size: 256, optimizer: Adam, lr: 0.01}}
"""
STAGES = (  # without evaluate's last step, publishing
    ("download:main", "digits"),
    ("preprocess:main", "digits"),
    ("train_scratch:main", "digits"),
    ("train_concise:main", "digits", "concise"),
    ("train_concise:main", "digits", "mlp"),
    ("train_network:main", "digits", "lenet"),
    ("train_network:main", "digits", "lenet_adam"),
    ("evaluate:evaluate", "digits"),
    ("report:main",),
)
WRITTEN = (paths.PROCESSED, paths.MODELS, paths.METRICS, paths.PREDICTIONS, paths.REPORTS)
SIDES = (5, 14, 28, 64)  # that pictures of 28 x 28 are resized to

Hashes = dict[str, str]


def main() -> None:
    """Compute all and print it. What the stages print goes to stderr."""
    refused = ""
    with contextlib.redirect_stdout(sys.stderr), project():
        exact = {**operations(), **resized()}
        try:
            exact |= pipeline()
            exact |= layers()
        except (UserError, Refused) as error:  # this machine may be unfit: worth telling, beside what came out
            refused = str(error)
        float32 = control()
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    witness = {"torch": torch.__version__, "cpu": cpu, "exact": exact, "refused": refused, "float32": float32}
    print(json.dumps(witness | {"machine": description()}))


def operations() -> Hashes:
    """The operations of exact arithmetic."""
    return {name: golden.digest(compute()) for name, compute in golden.COMPUTE.items()}


def layers() -> Hashes:
    """The layers, there and back. Raises Refused where exact arithmetic finds this machine unfit."""
    return {name: golden.digest(compute()) for name, compute in golden.LAYERS.items()}


def resized() -> Hashes:
    """Pictures of noise in other sizes."""
    noise = torch.from_numpy((draws(50 * 28 * 28, 0, "noise") >> 56).astype("uint8")).view(50, 28, 28)
    return {f"resize to {side}": golden.digest(resize(noise, side)) for side in SIDES}


def pipeline() -> Hashes:
    """Every file that the stages write, in the order of the stages."""
    paths.PARAMS.write_text(PARAMS.format(arithmetic="exact"))
    for name, *arguments in STAGES:
        stage(name, *arguments)
    files = [path for folder in WRITTEN for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.as_posix(): sha256(path)[:16] for path in files}


def stage(function: str, *arguments: str) -> None:
    """Run MODULE:FUNCTION of the stages in this process: an emulated one takes a minute to import torch.

    By name, for no room imports a stage.
    """
    module, _, name = function.partition(":")
    getattr(importlib.import_module(f"stages.{module}"), name)(*arguments)


def control() -> str:
    """The network again, in float32: its hash should differ from kind to kind."""
    paths.PARAMS.write_text(PARAMS.format(arithmetic="float32"))
    stage("train_concise:main", "digits", "mlp")
    return sha256(paths.model("digits", "mlp"))[:16]


@contextlib.contextmanager
def project() -> Iterator[None]:
    """Work in a temporary folder with what the stages read beside params.yaml."""
    with tempfile.TemporaryDirectory(prefix="samebits-") as folder, contextlib.chdir(folder):
        for path in (paths.CATALOG, paths.REQUIREMENTS):
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / path, path)
        paths.NETWORKS.mkdir()
        for name in ("lenet", "lenet_adam"):
            shutil.copyfile(ROOT / paths.network("lenet"), paths.network(name))
        yield


if __name__ == "__main__":
    main()
