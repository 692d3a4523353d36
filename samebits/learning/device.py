"""Where tensors live: the environment variable DEVICE says, since it changes no result, only its cost."""

import os

import torch

from samebits.base.errors import UserError


def chosen() -> torch.device:
    """Return the device that DEVICE names: auto (the default), cpu, cuda or cuda:N. Raises UserError."""
    name = os.environ.get("DEVICE") or "auto"
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "mps":
        raise UserError(f"DEVICE={name}: Apple's GPU has no float64, which exact arithmetic needs; set DEVICE=cpu")
    if kind not in ("cpu", "cuda") or not (index.isdecimal() or ":" not in name) or (kind == "cpu" and index):
        raise UserError(f"DEVICE={name} is not a device: set it to auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UserError(f"DEVICE={name}: this machine has {torch.cuda.device_count()} CUDA devices; try DEVICE=cpu")
    return torch.device(name)
