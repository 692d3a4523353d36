"""YAML read into typed values, with errors that name the key, the value and what is allowed."""

from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Tag, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from samebits.base.errors import UserError


class Strict(BaseModel):
    """No unknown keys, no silent conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("each value may appear only once")
    return values


Distinct = AfterValidator(_distinct)
Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> Any:
    """Read a YAML 1.2 file as DVC does (so that 1e-3 is a number). Raises UserError."""
    try:
        return YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the folder that holds dvc.yaml") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def parse(values: Any, model: type[Model], where: Path | str) -> Model:
    """Check `values`, read from `where`, against `model`. Raises UserError with a clause for each wrong key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        clauses = "; ".join(_clause(model, problem) for problem in error.errors())
        raise UserError(f"{where}: {clauses}") from None


def _clause(model: type[BaseModel], problem: Any) -> str:
    keys, _ = _follow(model, problem["loc"])
    key = ".".join(keys) or "the file"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        _, around = _follow(model, problem["loc"][:-1])
        return f"{key} is an unknown key; allowed here: {', '.join(getattr(around, 'model_fields', {}))}"
    if problem["type"] == "union_tag_invalid":
        return f"{key}.format is '{problem['ctx']['tag']}', but it should be one of {problem['ctx']['expected_tags']}"
    reason = problem["msg"].removeprefix("Value error, ").replace("Input", "it").replace("String", "it")
    return f"{key} is {problem['input']!r}, but {reason.replace('List', 'it', 1)}"


def _follow(model: Any, location: tuple[Any, ...]) -> tuple[list[str], Any]:
    """Return the keys along `location`, and what is at its end; a tag tells models apart and is no key."""
    keys = []
    for part in location:
        if part in (tagged := _tagged(model)):
            model = tagged[part]
            continue
        keys.append(str(part))
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else _item_model(model)
    return keys, model


def _tagged(annotation: Any) -> dict[str, Any]:
    """The models by tag where they are told apart by tags."""
    members = [get_args(member) for member in get_args(next(iter(get_args(annotation)), None))]
    return {member[1].tag: member[0] for member in members if len(member) > 1 and isinstance(member[1], Tag)}


def _item_model(annotation: Any) -> Any:
    """The model inside dict[str, Model] or list[Model]; a RootModel is looked through."""
    root = getattr(annotation, "model_fields", {}).get("root")
    return next(reversed(get_args(root.annotation if root else annotation)), None)
