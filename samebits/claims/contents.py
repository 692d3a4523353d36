"""How two files of one kind differ: the first tensor, cell or key that is not the same, and by how much."""

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ABSENT = object()


def describe(recorded: Path, here: Path, kind: str) -> str | None:
    """Say where `here` first differs from `recorded`; `kind` is the suffix that both had when they were written.

    None means that nothing can be said: a kind without values to compare, other bytes around the same values, or a
    file that is not of its kind. It never raises, since it explains a verdict that took minutes to reach.
    """
    try:
        if kind == ".safetensors":
            from safetensors.numpy import load_file  # here, for a verdict without differences does without it

            return tensors(load_file(recorded), load_file(here))
        if kind == ".csv":
            return cells(_rows(recorded), _rows(here))
        if kind == ".json":
            return keys(_json(recorded), _json(here))
    except Exception:
        return None
    return None


def tensors(recorded: Mapping[str, Array], here: Mapping[str, Array]) -> str | None:
    """Describe the first tensor, by name, that differs in shape, type or any bit."""
    names = sorted({*recorded, *here})
    differing = [name for name in names if not _same_bits(recorded.get(name), here.get(name))]
    if not differing:
        return None
    name = differing[0]
    others = f" (and {len(differing) - 1} more of {len(names)} tensors)" if len(differing) > 1 else ""
    if name not in here or name not in recorded:
        return f"tensor {name} is only {'in dvc.lock' if name in recorded else 'here'}{others}"
    old, new = recorded[name], here[name]
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return f"tensor {name} is {old.dtype} {old.shape} in dvc.lock, {new.dtype} {new.shape} here{others}"
    different = _bits(old) != _bits(new)
    with np.errstate(invalid="ignore", over="ignore"):
        most = np.abs(_wide(old) - _wide(new)).max()
    return (
        f"tensor {name} of shape {old.shape}, {np.count_nonzero(different.any(-1))} of {old.size} values differ, "
        f"by at most {most:.3g}{others}"
    )


def cells(recorded: list[list[str]], here: list[list[str]]) -> str | None:
    """Describe the first row and column in which two tables, each with a header, differ."""
    nothing: list[str] = []
    header = recorded[0] if recorded else nothing
    for line, (old, new) in enumerate(zip_longest(recorded, here, fillvalue=nothing), start=1):
        for column, (a, b) in enumerate(zip_longest(old, new, fillvalue=ABSENT)):
            if a != b:
                name = header[column] if line > 1 and column < len(header) else column + 1
                return f"line {line}, column {name}: {_either(a, b)}"
    return None


def keys(recorded: Any, here: Any) -> str | None:
    """Describe the first key in which two JSON values differ, written like test.loss.per_seed[0]."""
    return next(_keys(recorded, here, ""), None)


def _keys(old: Any, new: Any, where: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _keys(old.get(key, ABSENT), new.get(key, ABSENT), f"{where}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list):
        for index, (a, b) in enumerate(zip_longest(old, new, fillvalue=ABSENT)):
            yield from _keys(a, b, f"{where}[{index}]")
    elif _text(old) != _text(new):  # not as numbers: 1 and 1.0 are equal, but not the same
        yield f"{where or 'the whole'}: {_either(_text(old), _text(new))}"


def _text(value: Any) -> Any:
    return value if value is ABSENT else json.dumps(value, ensure_ascii=False)


def _either(old: Any, new: Any) -> str:
    return f"{'nothing' if old is ABSENT else old} in dvc.lock, {'nothing' if new is ABSENT else new} here"


def _same_bits(old: Array | None, new: Array | None) -> bool:
    if old is None or new is None:
        return False
    return (old.shape, old.dtype) == (new.shape, new.dtype) and bool((_bits(old) == _bits(new)).all())


def _bits(values: Array) -> npt.NDArray[np.uint8]:
    """Shape [size, bytes]: by its bytes a NaN equals itself, and -0.0 differs from 0.0."""
    return np.frombuffer(values.tobytes(), np.uint8).reshape(values.size, values.itemsize)


def _wide(values: Array) -> Array:
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
