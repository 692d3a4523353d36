"""params.yaml as typed values: an unknown key, a wrong type or an impossible value gets no further than here."""

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    create_model,
    model_validator,
)

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.schema import NAMED, Distinct, Strict, matching, parse
from samebits.base.yaml import read_yaml

RUNS = paths.RUNS
MOST = 1000  # seeds
BEGINNING = "[a-z][a-z0-9_]*", "made of a-z, 0-9 and _, with a letter first"

RATES = {  # of an optimizer, beside lr
    "SGD": ("momentum", "dampening", "nesterov", "weight_decay"),
    "Adam": ("betas", "eps", "weight_decay", "amsgrad"),
    "AdamW": ("betas", "eps", "weight_decay", "amsgrad"),
}
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
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


class Schedule(Strict):
    """What every run has: its starts and data orders (seeds), and how it goes through the data."""

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MOST), Distinct, BeforeValidator(_listed)]
    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0, le=1e30)]


class Training(Schedule):
    """One of RUNS: softmax regression, or a network of layers that are all alike."""

    momentum: Momentum
    init_std: Annotated[float, Field(gt=0)] | None
    hidden: list[Count]


class Softmax(Training):
    """Softmax regression is one layer: nothing is hidden."""

    hidden: Annotated[list[Count], Field(max_length=0)]


class Network(Schedule):
    """A network of one's own: what its file is told, its first weights, and the optimizer with its rates.

    What is not given is the optimizer's own default.
    """

    optimizer: Literal["SGD", "Adam", "AdamW"]
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    momentum: Momentum | None = None
    dampening: Annotated[float, Field(ge=0, le=1)] | None = None
    nesterov: bool | None = None
    betas: Annotated[list[Momentum], Field(min_length=2, max_length=2)] | None = None
    eps: Annotated[float, Field(gt=0)] | None = None
    amsgrad: bool | None = None
    schedule: Literal["constant", "linear"] = "constant"  # of lr: linear is lr (T - t) / T in step t of T, from 0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    init_std: Annotated[float, Field(gt=0)] | None = None  # of weights; null is PyTorch's default
    options: dict[str, StrictBool | StrictInt | StrictFloat | StrictStr] = Field(default_factory=dict)  # for the file

    @property
    def rates(self) -> dict[str, Any]:
        """Return what is said of the optimizer, by the names of torch.optim."""
        given = self.model_dump(include={"lr", *RATES["SGD"], *RATES["Adam"]}, exclude_none=True)
        return {name: tuple(rate) if isinstance(rate, list) else rate for name, rate in given.items()}

    @model_validator(mode="after")
    def belong(self) -> "Network":
        """Rates are the optimizer's."""
        if others := sorted(set(self.rates) - {"lr", *RATES[self.optimizer]}):
            raise ValueError(
                f"{self.optimizer} has no {', '.join(others)}; it has lr, {', '.join(RATES[self.optimizer])}"
            )
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError("nesterov needs a momentum above 0 and no dampening")
        return self


def _free(name: str) -> str:
    if hasattr(Params, name) or name in Params.model_fields:
        raise ValueError(f"'{name}' is the name of something else: give the network another")
    return name


class Params(Strict):
    """The whole of params.yaml; beside what is here, a block for each of `networks`."""

    datasets: Annotated[list[Dataset], Field(min_length=1), Distinct]
    networks: Annotated[list[Annotated[str, matching(*BEGINNING), AfterValidator(_free)]], Distinct] = Field(
        default_factory=list  # of a commit before there were any; DVC wants it said, see claims.pipeline
    )
    arithmetic: Literal["exact", "wide", "float32"]
    preprocess: Preprocess
    scratch: Softmax
    concise: Softmax
    mlp: Training

    @property
    def runs(self) -> list[str]:
        """Return the names of all runs: RUNS, then networks of one's own."""
        return [*RUNS, *self.networks]

    def training(self, run: str) -> Training:
        """Return the block of `run`, one of RUNS. Raises UserError for another name."""
        if run not in RUNS:
            raise UserError(f"unknown run '{run}': it must be one of {', '.join(RUNS)}")
        block: Training = getattr(self, run)
        return block

    def network(self, name: str) -> Network:
        """Return the block of a network of one's own. Raises UserError for a name that is not among `networks`."""
        if name not in self.networks:
            raise UserError(f"'{name}' is not among the networks of {paths.PARAMS}")
        block: Network = getattr(self, name)
        return block

    def block(self, run: str) -> Training | Network:
        """Return the block of a run. Raises UserError for a name that is none's."""
        if run not in self.runs:
            raise UserError(f"unknown run '{run}': it must be one of {', '.join(self.runs)}")
        return self.training(run) if run in RUNS else self.network(run)


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml. Raises UserError naming each wrong key, its value and what is allowed."""
    return checked(read_yaml(path), path)


def checked(values: Any, where: Path | str) -> Params:
    """Return what params.yaml holds, or would. Raises UserError as `load` does."""
    return parse(values, _with_blocks(values), where)


def _with_blocks(values: Any) -> type[Params]:
    """What params.yaml must hold: a block more for each network that it names, where those are names at all."""
    names = values.get("networks") if isinstance(values, dict) else None
    known = [name for name in names if isinstance(name, str) and name.isidentifier()] if isinstance(names, list) else ()
    return _form(tuple(name for name in known if not hasattr(Params, name) and name not in Params.model_fields))


@functools.cache  # so that equal parameters are of one class
def _form(networks: tuple[str, ...]) -> type[Params]:
    blocks: dict[str, Any] = dict.fromkeys(networks, (Network, ...))
    return create_model("Params", __base__=Params, **blocks) if blocks else Params
