"""What a trained model's file says of itself."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from safetensors import SafetensorError, safe_open

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


def describe(path: Path) -> Description:
    """Return the description in a model.safetensors. Raises UserError when it cannot be read or has none."""
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {})[KEY]
        values = json.loads(text)
        return Description(**{field.name: values[field.name] for field in fields(Description)})
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} is no model of this project: it does not say what it was trained on") from None


def unreadable(path: Path, error: Exception) -> UserError:
    """Return what to say of a model's file that cannot be read."""
    if not path.exists():
        return UserError(f"{path} is missing: `dvc repro` trains it")
    return UserError(f"{path} is not a whole safetensors file ({error}): `dvc repro` trains it again")
