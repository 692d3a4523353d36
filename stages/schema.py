"""YAML read into typed values, with errors that name the key, the value and what is allowed."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.errors import UserError


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
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} is an unknown key; allowed here: {', '.join(_fields(model, problem['loc'][:-1]))}"
    reason = problem["msg"].removeprefix("Value error, ").replace("Input", "it").replace("String", "it")
    return f"{key} is {problem['input']!r}, but {reason.replace('List', 'it', 1)}"


def _fields(model: Any, location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field else _item_model(model)
    return list(getattr(model, "model_fields", {}))


def _item_model(annotation: Any) -> Any:
    """The model inside dict[str, Model] or list[Model]; a RootModel is looked through."""
    root = getattr(annotation, "model_fields", {}).get("root")
    return (root.annotation if root else annotation).__args__[-1]
