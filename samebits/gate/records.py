"""One run's figures as they are compared: every quantity for every seed, and what they came from."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from samebits.base.errors import UserError
from samebits.base.params import Params
from samebits.base.schema import Distinct, Strict, parse


@dataclass(frozen=True)
class Quantity:
    """What is compared of a run; `margin` and `limit` in its own unit, a share of 1 or nats."""

    key: str  # in Values
    name: str
    worse: Literal[-1, 1]  # the direction of a change for the worse
    margin: float  # a change of no more than this is no matter
    limit: float  # where a change of this size would not be caught, there are too few seeds


# Accuracy alone sleeps: wrong labels, or a gradient's wrong sign, move a loss by dozens of its standard deviations
# before they move the accuracy by one. The two train losses see learning itself, at its start and at its end.
QUANTITIES = (
    Quantity("test_accuracy", "test accuracy", worse=-1, margin=0.001, limit=0.05),
    Quantity("test_loss", "test loss", worse=+1, margin=0.0002, limit=0.25),
    Quantity("first_train_loss", "first epoch's train loss", worse=+1, margin=0.0002, limit=0.25),
    Quantity("last_train_loss", "last epoch's train loss", worse=+1, margin=0.0002, limit=0.25),
)


class Values(Strict):
    """Each quantity's values, in the order of the seeds."""

    test_accuracy: list[float]
    test_loss: list[float]
    first_train_loss: list[float]
    last_train_loss: list[float]


class Provenance(Strict):
    """Where a reference comes from: for people, not compared."""

    commit: str | None  # None, as `dirty`, outside Git
    dirty: bool | None
    date: str
    python: str
    torch: str


class Record(Strict):
    """The whole of reference/DATASET/RUN.json, and the same of the working tree, without provenance."""

    dataset: str
    run: str
    parameters: dict[str, Any]  # by key in params.yaml, seeds apart: another list of seeds is still comparable
    data_digest: str
    test_images: Annotated[int, Field(ge=1)]
    model_sha256: str
    seeds: Annotated[list[int], Field(min_length=1), Distinct]
    values: Values
    provenance: Provenance | None = None

    def by_seed(self, quantity: Quantity) -> dict[int, float]:
        """Return seed -> value of one quantity."""
        return dict(zip(self.seeds, getattr(self.values, quantity.key), strict=True))


def record(values: Any, where: Path | str) -> Record:
    """Check `values`, read from `where`, as a Record. Raises UserError naming what is missing or wrong."""
    checked = parse(values, Record, where)
    for quantity in QUANTITIES:
        found = len(getattr(checked.values, quantity.key))
        if found != len(checked.seeds):
            raise UserError(f"{where}: values.{quantity.key} has {found} values for {len(checked.seeds)} seeds")
    return checked


def parameters(params: Params, run: str) -> dict[str, Any]:
    """Return what decides the figures of `run`, by its key in params.yaml; without the seeds."""
    block = params.block(run).model_dump(exclude={"seeds"})
    preprocess = params.preprocess.model_dump()
    return {
        "arithmetic": params.arithmetic,
        **{f"preprocess.{name}": value for name, value in preprocess.items()},
        **{f"{run}.{name}": value for name, value in block.items()},
    }


def other_parameters(recorded: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Say of each parameter that is not the same what it is in the reference and what it is here."""
    keys = [key for key in dict.fromkeys([*recorded, *here]) if _value(recorded, key) != _value(here, key)]
    return [f"{key} is {_value(recorded, key)} in the reference, {_value(here, key)} in params.yaml" for key in keys]


def _value(values: dict[str, Any], key: str) -> str:
    return ("null" if values[key] is None else str(values[key])) if key in values else "absent"


def common(a: Iterable[int], b: Iterable[int]) -> list[int]:
    """Return the seeds that both have, in order."""
    return sorted(set(a) & set(b))
