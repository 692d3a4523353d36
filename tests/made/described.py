"""Models that say what they are, as training writes them, in place of the made-up ones of tests.made.finished."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from samebits.base.files import read_json, sha256, write_json
from tests.made.finished import CLASSES


def describe_model(folder: Path, dataset: str, run: str, seeds: tuple[int, ...]) -> Path:
    """Put a softmax regression on 8 x 8 images in place of a run's model, and return its file."""
    file = folder / "models" / dataset / run / "model.safetensors"
    generator = torch.Generator().manual_seed(len(run))
    tensors = {
        "weight": torch.randn(len(seeds), 3, 64, generator=generator, dtype=torch.float64) / 500,
        "bias": torch.randn(len(seeds), 3, generator=generator, dtype=torch.float64),
    }
    known = {"dataset": dataset, "run": run, "arithmetic": "exact", "classes": CLASSES, "image": [8, 8]}
    save_file(tensors, file, {"samebits": json.dumps({**known, "seeds": list(seeds)}, sort_keys=True)})
    metrics = folder / "metrics" / dataset / f"{run}.json"
    write_json(metrics, read_json(metrics) | {"model_sha256": sha256(file)})
    return file
