"""What the JSON outputs must hold for those who read them; the stages may write more."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, FiniteFloat, model_validator

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
SPLITS = ("train", "validation", "test")


def _each(splits: dict[str, Any]) -> dict[str, Any]:
    if tuple(splits) != SPLITS:
        raise ValueError(f"it should hold {', '.join(SPLITS)}")
    return splits


class Figure(BaseModel):
    """A figure over the seeds: its mean and each seed's value; several seeds have a spread, too."""

    mean: FiniteFloat
    per_seed: Annotated[list[FiniteFloat], Field(min_length=1)]
    std: FiniteFloat | None = None
    ci95: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def spread(self) -> "Figure":
        """Several values have a spread."""
        if len(self.per_seed) > 1 and (self.std is None or self.ci95 is None):
            raise ValueError("several seeds have std and ci95")
        return self


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
    splits: Annotated[dict[str, Size], AfterValidator(_each)]


class SharedStart(BaseModel):
    """metrics/DATASET/shared_start.json."""

    identical: bool
    largest_difference: FiniteFloat
    sha256: "Ways"


class Ways(BaseModel):
    """A hash of what each way of training ends in; in exact arithmetic there is a third, the quickest."""

    scratch: str
    concise: str
    fused: str | None = None


class Calibration(BaseModel):
    """metrics/DATASET/calibration.json."""

    model_sha256: dict[str, str]
    fitted_on: str
    runs: dict[str, "Calibrated"]


class Calibrated(BaseModel):
    """How far a run keeps its word: as it is, and with its logits divided by a temperature."""

    ece: Figure
    reliability: list["Bin"]
    temperature: FiniteFloat
    scaled: "Scaled"


class Scaled(BaseModel):
    """The same with the temperature."""

    ece: Share
    reliability: list["Bin"]


class Bin(BaseModel):
    """The images that are named with a probability in a range."""

    lower: Share
    upper: Share
    count: Count
    confidence: Share | None
    accuracy: Share | None

    @model_validator(mode="after")
    def filled(self) -> "Bin":
        """Where there are images there are figures."""
        if self.count and (self.confidence is None or self.accuracy is None):
            raise ValueError("images have a confidence and an accuracy")
        return self


class Comparison(BaseModel):
    """metrics/DATASET/comparison.json."""

    model_sha256: dict[str, str]
    pairs: list["Pair"]


class Pair(BaseModel):
    """Two runs, over the seeds that both have."""

    runs: Annotated[list[str], Field(min_length=2, max_length=2)]
    seeds: list[int]
    difference: "Figures | Nothing"
    mcnemar: list["Mcnemar"]

    @model_validator(mode="after")
    def compared(self) -> "Pair":
        """Seeds have a difference each, and a test."""
        if self.seeds and not isinstance(self.difference, Figures):
            raise ValueError("seeds have a difference")
        if [each.seed for each in self.mcnemar] != self.seeds:
            raise ValueError("each seed has a test")
        return self


class Nothing(BaseModel, extra="forbid"):
    """Of no seeds there is no difference."""


class Mcnemar(BaseModel):
    """How many images only the one, only the other named correctly, and how likely that is by chance."""

    seed: int
    only_first: Count
    only_second: Count
    p: Share
