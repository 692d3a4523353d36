"""Where seeds stand as bytes, in a file or on the way to another process: a hash, then safetensors and JSON."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from samebits.learning.course import Standing

KEY, FORM = "samebits", b"samebits seeds 2 "


class DamagedError(ValueError):
    """Bytes that are not what was written."""


def encode(standings: Sequence[Standing], about: Mapping[str, Any]) -> bytes:
    """Return the bytes of where some seeds stand, and of whatever else JSON can say `about` them."""
    tensors = {f"{i}.{name}": tensor for i, each in enumerate(standings) for name, tensor in each.carried.items()}
    seeds = [{"seed": each.seed, "epoch": each.epoch, "rows": each.rows, "chain": each.chain} for each in standings]
    body = save(tensors, {KEY: json.dumps({"seeds": seeds, "about": dict(about)})})
    return FORM + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(data: bytes) -> tuple[list[Standing], dict[str, Any]]:
    """Return what `encode` was given. Raises DamagedError."""
    head, _, body = data.partition(b"\n")
    if head != FORM + hashlib.sha256(body).hexdigest().encode():
        raise DamagedError("its hash is not that of its bytes")
    try:
        # safetensors gives no metadata of bytes: the header is JSON, after its length in eight bytes
        header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
        said, tensors = json.loads(header["__metadata__"][KEY]), load(body)
        standings = [
            Standing(each["seed"], each["epoch"], each["rows"], _under(f"{i}.", tensors), each["chain"])
            for i, each in enumerate(said["seeds"])
        ]
        return standings, said["about"]
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise DamagedError(f"it is of another form ({type(error).__name__})") from None


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
