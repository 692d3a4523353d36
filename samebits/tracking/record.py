"""What is published of a run, whatever store it goes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Model:
    """A model.safetensors and what a reader of it must know."""

    file: Path
    image: tuple[int, int]  # height, width
    classes: tuple[str, ...]
    example: Any  # uint8 [2, H, W]


Curves = Mapping[str, Mapping[int, float]]  # name -> step -> value


@dataclass(frozen=True)
class Record:
    """One MLflow run, made from finished outputs only, and its children, one for each seed."""

    key: str  # equal keys are the same result
    dataset: str
    run: str
    note: str  # a sentence for the reader
    params: Mapping[str, object]
    metrics: Curves  # over the seeds
    tags: Mapping[str, str]
    digest: str  # of the dataset, hex
    source: str  # where the dataset is, relative to the project
    seconds: float  # that the training took
    seeds: Mapping[int, Curves] = field(default_factory=dict)
    model: Model | None = None  # None makes a run without a model that could be loaded

    @property
    def name(self) -> str:
        """What the run is called in lists."""
        return f"{self.dataset} {self.run}"


@dataclass(frozen=True)
class Published:
    """A run as the store holds it, of which a model can be loaded."""

    run_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]  # each one's last value
