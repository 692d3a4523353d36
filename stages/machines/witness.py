"""What one kind of machine computes, as hashes: `python -m stages.machines.witness` prints them as JSON.

Every operation of exact arithmetic over a million inputs, resizing, and each file that the pipeline writes when it
learns digits; and as a control one network in float32, whose bits are this kind's own.
"""

import contextlib
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from stages import best_effort, download, evaluate, preprocess, report, train_concise, train_scratch
from stages.datasets.prepare import resize
from stages.errors import UserError
from stages.exact.random import draws
from stages.files import sha256
from stages.machines import golden
from stages.model_code import HERE as ROOT

PARAMS = """
datasets: [digits]
arithmetic: {arithmetic}
preprocess: {{resize: null, validation_size: 0}}
scratch: {{seeds: [0, 1], epochs: 2, batch_size: 256, lr: 0.5, momentum: 0.0, init_std: 0.01, hidden: []}}
concise: {{seeds: [0, 1], epochs: 2, batch_size: 256, lr: 0.5, momentum: 0.5, init_std: 0.01, hidden: []}}
mlp: {{seeds: [0, 1], epochs: 2, batch_size: 64, lr: 0.3, momentum: 0.5, init_std: null, hidden: [24, 16]}}
"""
WRITTEN = ("data/processed", "models", "metrics", "predictions", "reports")
SIDES = (5, 14, 28, 64)  # that pictures of 28 x 28 are resized to

Hashes = dict[str, str]


def main() -> None:
    """Compute all and print it. What the stages print goes to stderr."""
    refused = ""
    with contextlib.redirect_stdout(sys.stderr), project():
        exact = {**operations(), **resized()}
        try:
            exact |= pipeline()
        except UserError as error:  # exact arithmetic may find this machine unfit: worth telling, beside what came out
            refused = str(error)
        float32 = control()
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    witness = {"torch": torch.__version__, "cpu": cpu, "exact": exact, "refused": refused, "float32": float32}
    print(json.dumps(witness))


def operations() -> Hashes:
    """The operations of exact arithmetic."""
    return {name: golden.digest(compute()) for name, compute in golden.COMPUTE.items()}


def resized() -> Hashes:
    """Pictures of noise in other sizes."""
    noise = torch.from_numpy((draws(50 * 28 * 28, 0, "noise") >> 56).astype("uint8")).view(50, 28, 28)
    return {f"resize to {side}": golden.digest(resize(noise, side)) for side in SIDES}


def pipeline() -> Hashes:
    """Every file that the stages write, in the order of the stages."""
    Path("params.yaml").write_text(PARAMS.format(arithmetic="exact"))
    download.main("digits")
    preprocess.main("digits")
    train_scratch.main("digits")
    train_concise.main("digits", "concise")
    train_concise.main("digits", "mlp")
    evaluate.main("digits")
    report.main()
    files = [path for folder in WRITTEN for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return {path.as_posix(): sha256(path)[:16] for path in files}


def control() -> str:
    """The network again, in float32: its hash should differ from kind to kind."""
    Path("params.yaml").write_text(PARAMS.format(arithmetic="float32"))
    train_concise.main("digits", "mlp")
    return sha256(Path("models/digits/mlp/model.safetensors"))[:16]


@contextlib.contextmanager
def project() -> Iterator[None]:
    """Work in a temporary folder with what the stages read beside params.yaml, and publish nothing."""
    publish = best_effort.publish
    with tempfile.TemporaryDirectory(prefix="samebits-") as folder, contextlib.chdir(folder):
        Path("data").mkdir()
        for name in ("data/catalog.yaml", "requirements.lock"):
            shutil.copyfile(ROOT / name, name)
        best_effort.publish = lambda *datasets: None
        try:
            yield
        finally:
            best_effort.publish = publish


if __name__ == "__main__":
    main()
