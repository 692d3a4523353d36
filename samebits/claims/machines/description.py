"""Of what kind this machine is: the columns of claims/ledger.csv that tell it. Not whose: no name of host or user."""

import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from samebits.learning import device

CPUINFO = Path("/proc/cpuinfo")
FLAGS = {"avx_vnni": "VNNI", "avx512_vnni": "VNNI", "amx_int8": "AMX"}  # those that change how 8-bit products are made


def description() -> dict[str, str]:
    """Return what computes here. Raises UserError for a DEVICE that is none."""
    where = device.chosen()
    gpu = f" {torch.cuda.get_device_name(where)}" if where.type == "cuda" else ""
    return {
        "implementation": f"Python {platform.python_version()}",
        "processor": processor(),
        "instructions": " ".join([platform.machine(), *instructions()]),
        "system": platform.system(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": f"{where.type}{gpu}",
        "threads": str(torch.get_num_threads()),
    }


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    with suppress(OSError):
        if name := re.search(r"^model name\s*: (.+)$", CPUINFO.read_text(encoding="utf-8"), re.MULTILINE):
            return name[1]
    return platform.processor()


def instructions() -> list[str]:
    """Return what torch found of the processor's instructions for vectors."""
    known: Mapping[str, object] = {}
    with suppress(AttributeError, RuntimeError):  # older versions of torch do not tell, nor does every processor
        known = torch.cpu.get_capabilities()
    more = dict.fromkeys(name for flag, name in FLAGS.items() if known.get(flag))
    return [torch.backends.cpu.get_cpu_capability(), *more]
