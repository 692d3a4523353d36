"""Values that were read, as typed ones, with errors that name the key, the value and what is allowed."""

import re
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Tag, ValidationError

from samebits.base.errors import UserError


class Strict(BaseModel):
    """No unknown keys, no silent conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("each value may appear only once")
    return values


def matching(pattern: str, wanted: str) -> AfterValidator:
    """Return a check that a text is of a form, which a message tells in words, for a pattern is a riddle to many."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"it should be {wanted}")
        return text

    return AfterValidator(check)


Distinct = AfterValidator(_distinct)
NAMED = "[a-z0-9_]+", "made of a-z, 0-9 and _"  # no hyphen: DVC joins names with it
LONGEST, MOST = 200, 10  # characters of a value in a sentence, and wrong keys
Model = TypeVar("Model", bound=BaseModel)


def parse(values: Any, model: type[Model], where: Path | str) -> Model:
    """Check `values`, read from `where`, against `model`. Raises UserError with a clause for each wrong key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {told(model, error)}") from None


def told(model: type[BaseModel], error: ValidationError) -> str:
    """Say in a clause for each wrong key what is wrong, and what would be right."""
    clauses = [cut(_clause(model, problem)) for problem in error.errors()[:MOST]]
    more = [f"and {error.error_count() - MOST} more"] if error.error_count() > MOST else []
    return "; ".join(clauses + more)


def cut(text: str, most: int = 2 * LONGEST) -> str:
    """Return a text, or its beginning."""
    return text if len(text) <= most else f"{text[:most]}..."


def _clause(model: type[BaseModel], problem: Any) -> str:
    keys, found = _follow(model, problem["loc"])
    key = ".".join(keys) or "the file"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        _, around = _follow(model, problem["loc"][:-1])
        return f"{key} is an unknown key; allowed here: {', '.join(getattr(around, 'model_fields', {}))}"
    if problem["type"] == "union_tag_invalid":
        return f"{key}.format is '{problem['ctx']['tag']}', but it should be one of {problem['ctx']['expected_tags']}"
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        wanted = ", ".join(getattr(found, "model_fields", {}) if problem["type"] != "dict_type" else ())
        reason = f"it should hold the keys {wanted}" if wanted else "it should hold keys and what belongs to each"
    else:
        reason = problem["msg"].removeprefix("Value error, ").replace("Input", "it").replace("String", "it")
    if problem["loc"][-1:] == ("[key]",):
        return f"{key}: as a name {reason}"
    return f"{key} is {_shown(problem['input'], key)}, but {reason.replace('List', 'it', 1)}"


def _shown(value: Any, key: str) -> str:
    """A value as YAML has it."""
    if value is None:
        return "empty" if key == "the file" else "null"
    try:
        return str(value).lower() if isinstance(value, bool) else cut(repr(value), LONGEST)
    except ValueError:  # which Python raises for a number of thousands of digits
        return "a number of very many digits"


def _follow(model: Any, location: tuple[Any, ...]) -> tuple[list[str], Any]:
    """Return the keys along `location`, and what is at its end; a tag tells models apart and is no key.

    Nor is "[key]", by which Pydantic says that it is the key that is wrong.
    """
    keys = []
    for part in location:
        if part == "[key]":
            continue
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
