"""What the JSON outputs must hold for those who read them; the stages may write more."""

from typing import Annotated, Any

from pydantic import BaseModel, Field


class Figure(BaseModel):
    """A figure over the seeds: its mean and each seed's value; several seeds have a spread, too."""

    mean: float
    per_seed: Annotated[list[float], Field(min_length=1)]


class Figures(BaseModel):
    """What is measured on a split: a share of 1, and nats per image."""

    accuracy: Figure
    loss: Figure


class Metrics(BaseModel):
    """metrics/DATASET/RUN.json."""

    seeds: list[int]
    test: Figures
    validation: Figures | None = None
    parameters: int
    model_sha256: str


class Size(BaseModel):
    """How large a split is."""

    images: int


class Summary(BaseModel):
    """data/processed/DATASET/summary.json."""

    title: str
    classes: list[str]
    image: Annotated[list[int], Field(min_length=2, max_length=2)]
    digest: str
    splits: dict[str, Size]


class SharedStart(BaseModel):
    """metrics/DATASET/shared_start.json."""

    identical: bool
    largest_difference: float
    sha256: dict[str, str]


class Calibration(BaseModel):
    """metrics/DATASET/calibration.json."""

    model_sha256: dict[str, str]
    fitted_on: str
    runs: dict[str, dict[str, Any]]


class Comparison(BaseModel):
    """metrics/DATASET/comparison.json."""

    model_sha256: dict[str, str]
    pairs: list[dict[str, Any]]
