"""What a trained model's file says of itself."""

import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from samebits.base import paths
from samebits.base.errors import UserError

KEY = "samebits"  # of the metadata entry that describes the model


@dataclass(frozen=True)
class Description:
    """What a model.safetensors says of itself: where its models come from, and how images are put to them."""

    dataset: str
    run: str
    arithmetic: str
    classes: list[str]
    image: list[int]  # height and width
    seeds: list[int]  # one model each
    columns: list[tuple[str, float, float]] | None = None  # of a table: name, least and greatest value in training
    network: list[dict[str, Any]] | None = None  # of one's own, layer by layer: see samebits.learning.layers


def describe(path: Path) -> Description:
    """Return the description in a model.safetensors. Raises UserError when it cannot be read or has none."""
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {})[KEY]
        values = json.loads(text)
        found = Description(**{field.name: values[field.name] for field in fields(Description) if field.name in values})
        texts, numbers = [found.dataset, found.run, found.arithmetic, *found.classes], [*found.image, *found.seeds]
        if not all(isinstance(text, str) for text in texts) or not all(
            isinstance(number, int) and not isinstance(number, bool) for number in numbers
        ):
            raise TypeError
        if len(found.image) != 2 or not found.classes or not found.seeds or min(numbers) < 0:
            raise ValueError
        if found.network is not None:
            _require_layers(found.network)
        return found if found.columns is None else replace(found, columns=_columns(found))
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise UserError(f"{path} is no model of this project: it does not say what it was trained on") from None


def _require_layers(layers: Any) -> None:
    """Raise TypeError, KeyError or ValueError for what is no list of layers."""
    forms = {"name": str, "layer": str, "arguments": dict}
    if not layers or not all(isinstance(each[key], form) for each in layers for key, form in forms.items()):
        raise ValueError
    if not all(isinstance(each["arguments"], dict) for each in layers) or len({e["name"] for e in layers}) < len(
        layers
    ):
        raise ValueError


def _columns(found: Description) -> list[tuple[str, float, float]]:
    """Return a table's columns as they should be. Raises TypeError or ValueError if they are not."""
    columns = [(name, least, greatest) for name, least, greatest in found.columns or []]
    for name, least, greatest in columns:
        if not isinstance(name, str) or not isinstance(least, float) or not isinstance(greatest, float):
            raise TypeError
        if greatest < least or not math.isfinite(greatest - least):
            raise ValueError
    if [1, len(columns)] != found.image:
        raise ValueError
    return columns


def unreadable(path: Path, error: Exception) -> UserError:
    """Return what to say of a model's file that cannot be read."""
    if not path.exists():
        return UserError(f"{path} is missing{remedy(path, 'trains it')}")
    return UserError(f"{path} is not a whole safetensors file ({error}){remedy(path)}")


def remedy(path: Path, does: str = "trains it again") -> str:
    """Return what helps where a model's file is of no use: nothing, if it is not the pipeline's."""
    return f": `dvc repro` {does}" if path.is_relative_to(paths.MODELS) else ""
