"""params.yaml as typed values: an unknown key, a wrong type or an impossible value gets no further than here."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.schema import NAMED, Distinct, Strict, matching, parse
from samebits.base.yaml import read_yaml

RUNS = ("scratch", "concise", "mlp")
MOST = 1000  # seeds

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# DVC joins matrix values with "-" into stage names, so a hyphen in a value could make two stages one.
Dataset = Annotated[str, matching(*NAMED)]


def _listed(seeds: Any) -> Any:
    """A number n stands for the seeds 0 ... n - 1."""
    if isinstance(seeds, bool) or not isinstance(seeds, int):
        return seeds
    if not 1 <= seeds <= MOST:
        raise ValueError(f"a number of seeds is between 1 and {MOST}; for one certain seed write a list, [{seeds}]")
    return list(range(seeds))


class Preprocess(Strict):
    """How raw images become the arrays that are learned from."""

    resize: Annotated[int, Field(ge=1, le=1024)] | None
    validation_size: Annotated[int, Field(ge=0)]


class Training(Strict):
    """One run: its starts and data orders (seeds), its schedule and its network."""

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MOST), Distinct, BeforeValidator(_listed)]
    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0, le=1e30)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    init_std: Annotated[float, Field(gt=0)] | None
    hidden: list[Count]


class Softmax(Training):
    """Softmax regression is one layer: nothing is hidden."""

    hidden: Annotated[list[Count], Field(max_length=0)]


class Params(Strict):
    """The whole of params.yaml."""

    datasets: Annotated[list[Dataset], Field(min_length=1), Distinct]
    arithmetic: Literal["exact", "wide", "float32"]
    preprocess: Preprocess
    scratch: Softmax
    concise: Softmax
    mlp: Training

    def training(self, run: str) -> Training:
        """Return the block of `run`, one of RUNS. Raises UserError for another name."""
        if run not in RUNS:
            raise UserError(f"unknown run '{run}': it must be one of {', '.join(RUNS)}")
        block: Training = getattr(self, run)
        return block


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml. Raises UserError naming each wrong key, its value and what is allowed."""
    return parse(read_yaml(path), Params, path)
