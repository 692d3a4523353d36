"""Stage evaluate: every run of a dataset on its test split. Writes metrics/DATASET and predictions/DATASET."""

from pathlib import Path

from torch import Tensor

from stages import best_effort
from stages.command import command
from stages.datasets.arrays import load_summary
from stages.datasets.split import load_split
from stages.files import sha256, write_csv, write_json
from stages.learning import device
from stages.learning.arithmetic import Arithmetic, arithmetic
from stages.learning.load import load_models
from stages.learning.shared_start import compare as shared_start
from stages.learning.training import figures, logits
from stages.params import RUNS, load
from stages.results import calibration
from stages.results.comparison import compare
from stages.results.metrics import Measured, confusion, per_class


def main(dataset: str) -> None:
    """Evaluate the runs scratch, concise and mlp of DATASET, then publish them to MLflow as far as it answers."""
    params, where, data = load(), device.chosen(), Path("data/processed") / dataset
    ops, names = arithmetic(params.arithmetic, where), load_summary(data).classes
    splits = {name: load_split(data, name, where) for name in ("train", "test", "validation")}
    verdict = shared_start(ops, splits["train"], params.scratch, len(names), f"{dataset} shared start")
    fitted_on, held = calibration.held(splits)
    splits = {name: split for name, split in splits.items() if name != "train" and len(split.labels)}
    tested, calibrated, hashes = {}, {}, {}
    for run in RUNS:
        path, seeds = Path("models") / dataset / run / "model.safetensors", params.training(run).seeds
        models, hashes[run] = load_models(path, ops, where), sha256(path)
        outputs = {name: [logits(model, split) for model in models] for name, split in splits.items()}
        results = {name: _measure(ops, seeds, outputs[name], split.labels) for name, split in splits.items()}
        metrics = {
            "seeds": seeds,
            **{name: result.summary() for name, result in results.items()},
            "parameters": sum(p.numel() for p in models[0].parameters()),
            "model_sha256": hashes[run],
        }
        write_json(Path("metrics") / dataset / f"{run}.json", metrics)
        _write_predictions(dataset, run, ops, outputs["test"][0], splits["test"].labels, names)
        tested[run] = results["test"]
        T = calibration.temperature(ops, logits(models[0], held), held.labels)
        calibrated[run] = calibration.measure(ops, outputs["test"], splits["test"].labels, T)
    write_json(Path("metrics") / dataset / "comparison.json", {"model_sha256": hashes, "pairs": compare(tested)})
    write_json(
        Path("metrics") / dataset / "calibration.json",
        {"model_sha256": hashes, "fitted_on": fitted_on, "runs": calibrated},
    )
    write_json(Path("metrics") / dataset / "shared_start.json", verdict)
    best_effort.publish(dataset)


def _measure(ops: Arithmetic, seeds: list[int], outputs: list[Tensor], labels: Tensor) -> Measured:
    """Hold each seed's logits [N, K] against the labels."""
    losses = [figures(ops, Z, labels)[0] for Z in outputs]
    return Measured(seeds, losses, [Z.argmax(1) == labels for Z in outputs])


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
