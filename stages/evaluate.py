"""Stage evaluate: every run of a dataset on its test split. Writes metrics/DATASET and predictions/DATASET."""

import os

from torch import Tensor

from samebits.base import paths
from samebits.base.command_line import run_stage
from samebits.base.files import sha256, write_csv, write_json
from samebits.base.params import load
from samebits.datasets.arrays import load_summary
from samebits.datasets.split import load_split
from samebits.learning import device
from samebits.learning.arithmetic import VERSIONS, Arithmetic, arithmetic, judging
from samebits.learning.description import Description
from samebits.learning.hits import correct
from samebits.learning.load import load_trained
from samebits.learning.training import figures, split_logits
from samebits.measures import calibration
from samebits.measures.comparison import compare
from samebits.measures.metrics import Measured, confusion, per_class
from samebits.measures.shared_start import compare as shared_start
from samebits.outcome.leftovers import prune_runs
from samebits.tracking import best_effort


def main(dataset: str) -> None:
    """Evaluate all runs of DATASET, then publish them to MLflow as far as it answers."""
    evaluate(dataset)
    best_effort.publish(dataset)


def evaluate(dataset: str) -> None:
    """Write metrics and predictions of all runs of a dataset."""
    params, where, data = load(), device.chosen(), paths.processed(dataset)
    version, summary = VERSIONS[params.arithmetic], load_summary(data)
    ops, names = judging(version, where), summary.classes
    if "DVC_STAGE" in os.environ:
        _prune(dataset, params.runs)
    splits = {name: load_split(data, name, where) for name in ("train", "test", "validation")}
    verdict = shared_start(
        arithmetic(params.arithmetic, where), splits["train"], params.scratch, len(names), f"{dataset} shared start"
    )
    fitted_on, held = calibration.held(splits)
    splits = {name: split for name, split in splits.items() if name != "train" and len(split.labels)}
    tested, calibrated, hashes = {}, {}, {}
    for folder in paths.of_networks(dataset):
        folder.mkdir(parents=True, exist_ok=True)  # each is an output, and may be empty
    for run in params.runs:
        path, seeds = paths.model(dataset, run), params.block(run).seeds
        trained = Description(dataset, run, version, names, summary.image, seeds)
        models, hashes[run] = load_trained(path, trained, ops, where), sha256(path)
        outputs = {name: [split_logits(model, split) for model in models] for name, split in splits.items()}
        results = {name: _measure(ops, seeds, outputs[name], split.labels) for name, split in splits.items()}
        metrics = {
            "seeds": seeds,
            **{name: result.summary() for name, result in results.items()},
            "parameters": sum(p.numel() for p in models[0].parameters()),
            "model_sha256": hashes[run],
        }
        write_json(paths.metrics(dataset, run), metrics)
        _write_predictions(dataset, run, ops, outputs["test"][0], splits["test"].labels, names)
        tested[run] = results["test"]
        T = calibration.temperature(ops, split_logits(models[0], held), held.labels)
        calibrated[run] = calibration.measure(ops, outputs["test"], splits["test"].labels, T)
    write_json(paths.comparison(dataset), {"model_sha256": hashes, "pairs": compare(tested)})
    calibration_of_all = {"model_sha256": hashes, "fitted_on": fitted_on, "runs": calibrated}
    write_json(paths.calibration(dataset), calibration_of_all)
    write_json(paths.shared_start(dataset), verdict)


def _prune(dataset: str, runs: list[str]) -> None:
    """Remove the models of networks that params.yaml no longer names: this stage depends on the folder they are in."""
    outputs = [path(dataset, "") for path in (paths.model, paths.history, paths.chain)]
    prune_runs(outputs[0].parent, [output.name for output in outputs], runs)


def _measure(ops: Arithmetic, seeds: list[int], outputs: list[Tensor], labels: Tensor) -> Measured:
    """Hold each seed's logits [N, K] against the labels."""
    losses = [figures(ops, Z, labels)[0] for Z in outputs]
    return Measured(seeds, losses, [correct(Z, labels) for Z in outputs])


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
    write_csv(paths.predictions(dataset, run), rows)
    write_csv(paths.confusion(dataset, run), cells)
    write_csv(paths.classes(dataset, run), per_class(counts, names))


if __name__ == "__main__":
    run_stage(main)
