"""Stage evaluate: every run of a dataset on its test split. Writes metrics/DATASET and predictions/DATASET."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stages import best_effort
from stages.command import command
from stages.datasets.arrays import Split, load_split, load_summary
from stages.files import sha256, write_csv, write_json
from stages.learning import device
from stages.learning.arithmetic import Arithmetic, arithmetic
from stages.learning.load import load_models
from stages.learning.shared_start import compare as shared_start
from stages.learning.training import figures, logits
from stages.params import RUNS, load
from stages.results.metrics import confusion, over_seeds, per_class


def main(dataset: str) -> None:
    """Evaluate the runs scratch, concise and mlp of DATASET, then publish them to MLflow as far as it answers."""
    params, where, data = load(), device.chosen(), Path("data/processed") / dataset
    ops, names = arithmetic(params.arithmetic), load_summary(data).classes
    splits = {name: load_split(data, name, where) for name in ("train", "test", "validation")}
    verdict = shared_start(ops, splits.pop("train"), params.scratch, len(names), f"{dataset} shared start")
    for run in RUNS:
        path = Path("models") / dataset / run / "model.safetensors"
        models = load_models(path, ops, where)
        metrics = {
            "seeds": params.training(run).seeds,
            **{name: _over_seeds(ops, models, split) for name, split in splits.items() if len(split.labels)},
            "parameters": sum(p.numel() for p in models[0].parameters()),
            "model_sha256": sha256(path),
        }
        write_json(Path("metrics") / dataset / f"{run}.json", metrics)
        _write_predictions(dataset, run, ops, logits(models[0], splits["test"]), splits["test"].labels, names)
    write_json(Path("metrics") / dataset / "shared_start.json", verdict)
    best_effort.publish(dataset)


def _over_seeds(ops: Arithmetic, models: list[nn.Sequential], split: Split) -> dict[str, Any]:
    losses, accuracies = zip(*(figures(ops, model, split) for model in models), strict=True)
    return {"accuracy": over_seeds(list(accuracies)), "loss": over_seeds(list(losses))}


def _write_predictions(dataset: str, run: str, ops: Arithmetic, Z: Tensor, labels: Tensor, names: list[str]) -> None:
    """Write the first seed's predictions, and what follows from them: the confusion matrix and class figures."""
    probabilities, predicted = ops.softmax(Z).max(1)
    triples = zip(labels.tolist(), predicted.tolist(), probabilities.tolist(), strict=True)
    rows = [
        {"index": i, "actual": names[y], "predicted": names[y_hat], "probability": p}
        for i, (y, y_hat, p) in enumerate(triples)
    ]
    counts = confusion(labels, predicted, len(names))
    cells = [
        {"actual": actual, "predicted": predicted, "count": count}
        for actual, row in zip(names, counts, strict=True)
        for predicted, count in zip(names, row, strict=True)
    ]
    write_csv(Path("predictions") / dataset / f"{run}.csv", rows)
    write_csv(Path("metrics") / dataset / f"{run}_confusion.csv", cells)
    write_csv(Path("metrics") / dataset / f"{run}_classes.csv", per_class(counts, names))


if __name__ == "__main__":
    command(main)
