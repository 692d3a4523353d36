"""Which published run of a dataset is its champion, and the card that its model gets.

Best is the highest accuracy on validation images, as the mean over the seeds. Where no run held any images out, the
test accuracy has to do, and the model card says so. A run of one seed is never chosen: its figure may be luck.
"""

from collections.abc import Mapping

from samebits.base.errors import UserError
from samebits.datasets.catalog import Entry, Table
from samebits.tracking.record import Published
from samebits.tracking.store import KEY

VALIDATION, TEST = "validation_accuracy", "test_accuracy"


def best(dataset: str, runs: list[Published]) -> tuple[Published, str]:
    """Return the run to promote and the name of the figure that decided.

    Of equals the smaller model, then the one whose key sorts first, so that everybody chooses the same. Raises
    UserError if no run can be chosen.
    """
    if not runs:
        raise nothing(dataset)
    several = [run for run in runs if int(run.tags["seeds"]) > 1]
    if not several:
        raise UserError(f"every published run of {dataset} is of one seed: set `seeds` in params.yaml to 2 or more")
    validated = [run for run in several if VALIDATION in run.metrics]
    by = VALIDATION if validated else TEST

    def rank(run: Published) -> tuple[float, int, str]:
        return -run.metrics[by], int(run.params["parameters"]), run.tags[KEY]

    return min(validated or several, key=rank), by


def nothing(dataset: str) -> UserError:
    """Return what to say where no run of a dataset was published."""
    publish = f"`samebits publish {dataset}` publishes what is finished of it"
    return UserError(f"{dataset} has no published run with a model: {publish}")


def lost(dataset: str, chosen: Published) -> UserError:
    """Return what to say where the artifacts of the best run are gone."""
    return UserError(
        f"the best run of {dataset}, {chosen.tags['run']} ({chosen.run_id}), has lost its model: `samebits publish "
        f"{dataset}` puts it back if it is what is finished here; else delete that run in MLflow"
    )


def card(entry: Entry, chosen: Published, by: str) -> str:
    """Return the model card in Markdown: what it is, how good, on what, with which limits, and how to check it."""
    tags, splits = chosen.tags, [name for name in ("validation", "test") if f"{name}_accuracy" in chosen.metrics]
    figures = "\n".join(_figures(chosen.metrics, split) for split in splits)
    skipped = ("dataset", "run", "seeds", "parameters")
    params = "\n".join(f"| {name} | {value} |" for name, value in chosen.params.items() if name not in skipped)
    side = chosen.params["resize"]
    height, width = entry.image if side == "None" else (side, side)
    commit = tags.get("mlflow.source.git.commit", "unknown")
    dirty = " with uncommitted changes" if tags.get("git_dirty") == "true" else ""
    return f"""# {entry.title}: {tags["run"]}

{int(chosen.params["parameters"]):,} parameters. Takes images uint8 [N, {height}, {width}], {_input(entry)}
dataset; answers with one of {len(entry.classes)} classes: {", ".join(entry.classes)}.

## Figures
Means over {tags["seeds"]} seeds; chosen by {by.replace("_", " ")}{CAUTION if by == TEST else ""}.

| split | accuracy | standard deviation | 95 % interval of the mean | loss |
|---|--:|--:|--:|--:|
{figures}

The model answers with its first seed, not with an ensemble: expect its own accuracy within the spread over seeds.

## Data
{entry.title}{_origin(entry)}. Digest of the arrays `{tags["dataset_digest"]}`.

## Parameters
| | |
|---|---|
{params}

## Limits
It knows {entry.title} and nothing else: whatever it is given gets one of its classes too, often with a high
probability. Probabilities are not calibrated. Train and test images come from one source, so expect less elsewhere.

## The same bits
Trained at commit `{commit}`{dirty}. SHA-256 of model.safetensors: `{tags["model_sha256"]}`.
{EXACT if not chosen.params["arithmetic"].startswith("float32") else FLOAT32}
"""


def _input(entry: Entry) -> str:
    return "rows scaled as in the" if isinstance(entry, Table) else "light on dark as in the"


def _origin(entry: Entry) -> str:
    """Licence and citation, which one's own data may lack."""
    return (f", licence {entry.licence}" if entry.licence else "") + (f". {entry.citation}" if entry.citation else "")


EXACT = "It comes out the same on any machine: check out that commit, let `dvc repro` train it, compare the hash."
FLOAT32 = "Trained in float32: another machine may give other bits, and much the same figures."
CAUTION = ", since no run held validation images out: of several runs the best looks a little better than it is"


def _figures(metrics: Mapping[str, float], split: str) -> str:
    name = f"{split}_accuracy"
    mean, std, loss = metrics[name], metrics[f"{name}_std"], metrics[f"{split}_loss"]
    interval = f"{metrics[f'{name}_ci95_low']:.4f} to {metrics[f'{name}_ci95_high']:.4f}"
    return f"| {split} | {mean:.4f} | {std:.4f} | {interval} | {loss:.4f} |"
