"""Does exact training end where float32 does? `make compare`

Trains exact, wide and float32 from the same starts, through the same minibatches, and prints paired differences over
seeds with 95 % intervals, and whether they exclude harm. What is trained is kept in logs/compare.csv as it comes, so a
run that was stopped goes on where it was. Each training has one thread; `--workers` says how many go on at once.
"""

import argparse
import csv
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from samebits import exact
from samebits.base import paths
from samebits.base.files import sha256
from samebits.base.params import Training, load
from samebits.datasets.split import load_split
from samebits.learning.arithmetic import VERSIONS, Name, arithmetic
from samebits.learning.concise import network
from samebits.learning.fused import quickest
from samebits.learning.initial import first_layers
from samebits.learning.training import figures, fit, split_logits
from samebits.measures.metrics import over_seeds

KEPT = Path("logs/compare.csv")
FIGURES = ("test_accuracy", "test_loss", "train_loss")
POINTS, SHARE = 0.15, 0.01  # of accuracy, of the loss: a harm that the intervals must exclude
SEEDS = {"concise": 12, "mlp": 10}


class Key(NamedTuple):
    """All that decides the figures of a training, but for the last bits of float32's."""

    run: str
    dataset: str
    data: str  # a digest of train and test split
    arithmetic: str
    seed: str
    settings: str


Row = dict[str, str]
NAMES: tuple[Name, ...] = ("exact", "float32", "wide")


def key(run: str, dataset: str, name: Name, seed: int, block: Training) -> Key:
    """The key of a training."""
    settings = block.model_dump(exclude={"seeds"})
    return Key(run, dataset, digest(dataset), VERSIONS[name], str(seed), str(sorted(settings.items())))


@cache
def digest(dataset: str) -> str:
    """What tells this data from other data of the same name."""
    return "".join(sha256(paths.processed(dataset) / paths.SPLIT.format(split))[:8] for split in ("train", "test"))


def train(run: str, dataset: str, name: Name, seed: int, block: Training) -> Row:
    """Train one model; return its figures, as it is judged in float64 whatever it was trained in."""
    train, test = (load_split(paths.processed(dataset), split) for split in ("train", "test"))
    ops, widths = arithmetic(name), [train.images[0].numel(), *block.hidden, int(train.labels.max()) + 1]
    layers = first_layers(widths, block.init_std, [seed])
    if name == "float32":  # nn.Linear as everybody uses it, without an axis of seeds
        layers = [(weight[0], bias[0]) for weight, bias in layers]
    learner = quickest(ops, network(ops, layers), block.lr, block.momentum)
    for _ in fit(ops, learner, {"train": train}, block, [seed], f"{dataset} {run} {name}"):
        pass
    state, wide = list(learner.state().values()), arithmetic("wide")
    judged = network(wide, [(w.view(w.shape[-2:]), b.flatten()) for w, b in zip(state[::2], state[1::2], strict=True)])
    (loss, accuracy), (train_loss, _) = (
        figures(wide, split_logits(judged, split), split.labels) for split in (test, train)
    )
    return dict(zip(FIGURES, map(repr, (accuracy, loss, train_loss)), strict=True))


def kept() -> dict[Key, Row]:
    """What was trained before."""
    if not KEPT.exists():
        return {}
    with KEPT.open(newline="") as file:
        return {Key(*(row.pop(name) for name in Key._fields)): row for row in csv.DictReader(file)}


def keep(which: Key, row: Row) -> None:
    """Add a line."""
    fresh = not KEPT.exists()
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow([*Key._fields, *FIGURES])
        writer.writerow([*which, *row.values()])


def train_all(plan: list[tuple[str, str, Name, int, Training]], workers: int) -> dict[Key, Row]:
    """Train what is not kept yet; return all that is."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers
    done = kept()
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=exact.prepare)
    try:
        trained = {pool.submit(train, *each): key(*each) for each in plan if key(*each) not in done}
        for future in tqdm(as_completed(trained), "training", len(trained), unit="model"):
            which = trained[future]
            done[which] = future.result()
            keep(which, done[which])
    finally:
        pool.shutdown(cancel_futures=True)
    return done


def show(run: str, block: Training, datasets: list[str], seeds: int, done: dict[Key, Row]) -> None:
    """Print a table of one run."""
    print(f"\n{run}, {block.epochs} epochs, {seeds} seeds: means, paired differences [95 % interval]\n")
    print(f"| dataset | figure | {' | '.join(NAMES)} | exact - float32 | exact - wide | harm is excluded |")
    print("|---|---|---|---|---|---|---|---|")
    for dataset in datasets:
        rows = {name: [done[key(run, dataset, name, seed, block)] for seed in range(seeds)] for name in NAMES}
        for figure in FIGURES:
            print(line(dataset, figure, {name: [float(row[figure]) for row in rows[name]] for name in NAMES}))


def line(dataset: str, figure: str, values: dict[Name, list[float]]) -> str:
    """One line: a figure's means, its differences, and whether their intervals exclude a harm of POINTS or SHARE."""
    points = figure == "test_accuracy"
    unit, digits = (100.0, 3) if points else (1.0, 5)
    means = {name: unit * statistics.fmean(row) for name, row in values.items()}
    cells, excluded = [f"{means[name]:.{digits}f}" for name in NAMES], []
    for other in NAMES[1:]:
        found = over_seeds([unit * (a - b) for a, b in zip(values["exact"], values[other], strict=True)])
        low, high = found["ci95"]
        cells.append(f"{found['mean']:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]")
        excluded.append(low > -POINTS if points else high < SHARE * means[other])
    harm = f"of {POINTS} points" if points else f"of {100 * SHARE:.0f} %"
    verdict = "yes" if all(excluded) else "NO"
    return f"| {dataset} | {figure.replace('_', ' ')} | {' | '.join(cells)} | {harm}: {verdict} |"


def main() -> None:
    """Train what is not kept yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=list(SEEDS), choices=list(SEEDS))
    parser.add_argument("--datasets", nargs="+", default=load().datasets)
    parser.add_argument("--seeds", type=int, help="how many of each, from 0; by default 12 and 10")
    parser.add_argument("--epochs", type=int, help="fewer, to try it")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if options.seeds is not None and options.seeds < 2:
        parser.error("differences have an interval from 2 seeds on")
    blocks = {run: load().training(run) for run in options.runs}
    if options.epochs:
        blocks = {run: block.model_copy(update={"epochs": options.epochs}) for run, block in blocks.items()}
    counts = {run: options.seeds or SEEDS[run] for run in blocks}
    plan = [
        (run, dataset, name, seed, block)
        for run, block in blocks.items()
        for seed in range(counts[run])
        for dataset in options.datasets
        for name in NAMES
    ]
    done = train_all(plan, options.workers)
    for run, block in blocks.items():
        show(run, block, options.datasets, counts[run], done)


if __name__ == "__main__":
    main()
