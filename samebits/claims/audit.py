"""One seed of a run, trained here up to one epoch and held, epoch by epoch, against the chain that dvc.lock names.

A hash of the chain is of what a seed is after an epoch, of its row of history and of the hash before. So a seed whose
hashes come out is right up to that epoch, weights, velocities and figures, if the chain itself is the right one. Of
other seeds, and of later epochs, that says nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from tqdm import tqdm

from samebits.base import dvc, lockfile, paths
from samebits.base.errors import UserError, reason
from samebits.base.params import RUNS, Network, Params, Training
from samebits.base.schema import cut
from samebits.claims import histories, overlays, pipeline
from samebits.claims.differences import is_made
from samebits.datasets.arrays import load_summary
from samebits.exact import NonFinite
from samebits.learning import chain, device, fused, scratch
from samebits.learning.course import Course, Standing
from samebits.learning.own import course_of_network
from samebits.learning.run import course_of
from samebits.outcome import chains
from samebits.outcome.freshness import changed_since
from samebits.outcome.reader import train_stage
from samebits.seeds.key import about
from samebits.seeds.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Claim:
    """What dvc.lock says of a run, and what is here as it says: its parameters, its chain, the lines of its history."""

    dataset: str
    run: str
    entry: lockfile.Stage
    params: Params
    chain: chains.Chain
    history: list[str]  # the header first

    @property
    def block(self) -> Training | Network:
        """The parameters of the run."""
        return self.params.block(self.run)

    @property
    def stage(self) -> str:
        """The stage that made it."""
        return train_stage(self.dataset, self.run)

    def line(self, seed: int, epoch: int) -> str:
        """Return the line of history.csv for an epoch."""
        return self.history[1 + list(self.chain).index((seed, epoch))]

    def before(self, seed: int, epoch: int) -> str:
        """Return the hash of the epoch before."""
        return self.chain.get((seed, epoch - 1), chain.BEGIN)


def claimed(dataset: str, run: str, params: Params) -> Claim:
    """Return what dvc.lock says of a run. Raises UserError for what is unknown, missing, or not as dvc.lock says."""
    pipeline.require([dataset])
    block = params.block(run)
    if params.arithmetic == "float32":
        raise UserError(
            "arithmetic is float32, whose results depend on machine, threads and the seeds beside: there is nothing "
            "that must come out again; exact and wide can be audited"
        )
    entry = _recorded(dataset, run, params)
    epochs = [(seed, epoch) for seed in block.seeds for epoch in range(1, block.epochs + 1)]
    found = _read(paths.chain(dataset, run), chains.read)
    if list(found) != epochs:
        raise UserError(f"{paths.chain(dataset, run)} has other seeds or epochs than params.yaml or {paths.LOCK}")
    splits = ["train", "test", *(["validation"] if params.preprocess.validation_size else [])]
    history = _read(paths.history(dataset, run), lambda path: histories.read(path, epochs, splits))
    return Claim(dataset, run, entry, params, found, history)


def _recorded(dataset: str, run: str, params: Params) -> lockfile.Stage:
    """Return dvc.lock's entry of a training. Raises UserError unless data and outputs are here as it says."""
    stage = train_stage(dataset, run)
    named = "" if dataset in params.datasets else f", once datasets in {paths.PARAMS} names {dataset}"
    if (entry := lockfile.read().get(stage)) is None:
        raise UserError(
            f"{paths.LOCK} says nothing of {stage}: there is no claim to audit (`samebits repro` makes one{named})"
        )
    if str(paths.chain(dataset, run)) not in {out.path for out in entry.outs}:
        raise UserError(f"{paths.LOCK} names no chain of {stage}, for it is older: `samebits repro` makes one{named}")
    if changed := changed_since(
        paths.processed(dataset), paths.model(dataset, run).parent, now=overlays.merged(dataset)
    ):
        raise UserError(
            f"{changed} has changed since {dataset} {run} was trained: `dvc repro {stage}` makes a new claim{named}; "
            "with what it was before, the old one can be audited"
        )
    data = [dep for dep in entry.deps if dep.path == str(paths.processed(dataset))]
    for file in [*data, *entry.outs]:
        if (here := dvc.md5_of(Path(file.path))) != file.md5:
            what = f"is not what {paths.LOCK} says" if here else "is missing"
            brings = f"`dvc checkout {file.path}` or `dvc repro {stage}` brings what is meant{named}"
            raise UserError(f"{file.path} {what}: {brings}")
    return entry


def _read(path: Path, reader: Callable[[Path], T]) -> T:
    """Return reader(path). Raises UserError if that cannot be."""
    try:
        return reader(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason(error)})") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error})") from None


def ends(claim: Claim) -> Iterator[int]:
    """Yield each seed whose last hash is not that of the model in model.safetensors: it takes no training to tell."""
    path, epochs = paths.model(claim.dataset, claim.run), claim.block.epochs
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:  # which may quote the file, control characters and all
        raise UserError(f"{path} cannot be read ({cut(repr(str(error)))})") from None
    if any(tensor.shape[:1] != (len(claim.block.seeds),) for tensor in tensors.values()):
        yield from claim.block.seeds
        return
    for place, seed in enumerate(claim.block.seeds):
        model = {name: tensor[place] for name, tensor in tensors.items()}
        try:
            sha = chain.linked(claim.before(seed, epochs), claim.line(seed, epochs), model)
        except (NonFinite, TypeError, NotImplementedError):  # of no real numbers
            sha = ""
        if sha != claim.chain[seed, epochs]:
            yield seed


def course(claim: Claim, seed: int) -> Course:
    """Return what one seed of the run goes through, on the data that are here."""
    alone = claim.params.model_copy(update={claim.run: claim.block.model_copy(update={"seeds": [seed]})})
    summary = load_summary(paths.processed(claim.dataset))
    if claim.run not in RUNS:
        return course_of_network(claim.run, alone, summary, device.chosen())
    build = scratch.build if claim.run == "scratch" else fused.build
    return course_of(claim.run, build, alone, summary, device.chosen())


def kept(claim: Claim, way: Course, seed: int, epoch: int) -> Standing:
    """Return where the seed stood after the last epoch before `epoch` of which the store kept that.

    The chain tells whether that is what the claim is about, so that it does not matter who wrote it there. Raises
    UserError if the store has no such epoch.
    """
    store = Store(about(way), way.name, way.block.epochs)
    for before in range(epoch - 1, 0, -1):
        if (stood := store.passed(seed, before)) and _proven(claim, stood):
            return replace(stood, chain=[claim.chain[seed, each] for each in range(1, before + 1)])
    if epoch == 1:
        return Standing(seed)
    raise UserError(
        f"the seed store has no epoch of {way.name} seed {seed} before {epoch} that fits the chain: a training with "
        "SEED_STORE_KEEP=all keeps them (docs/seeds.md); without --from-store this begins at the start"
    )


def _proven(claim: Claim, stood: Standing) -> bool:
    """Whether what the store has is what the chain has a hash of."""
    with suppress(NonFinite):
        before = claim.before(stood.seed, stood.epoch)
        return chain.link(before, stood.rows[-1], stood.carried) == claim.chain[stood.seed, stood.epoch]
    return False


def first_difference(claim: Claim, way: Course, start: Standing, epoch: int) -> str | None:
    """Train a seed from where it stands up to an epoch; say where it first differs from the claim, if it does."""
    way.prepare()
    with tqdm(total=epoch, initial=start.epoch, desc=way.name, unit="epoch") as bar:
        for reached in way.follow([start], epoch - start.epoch):
            [stands] = reached.seeds
            bar.update()
            if what := _difference(claim, stands):
                return f"at the end of epoch {stands.epoch}: {what}"
    return None


def _difference(claim: Claim, stands: Standing) -> str | None:
    """Say in which column of history.csv an epoch differs, or that it does in what the seed carries on."""
    names, row = claim.history[0].split(","), claim.line(stands.seed, stands.epoch).split(",")
    for name, there, here in zip(names, row, map(str, stands.rows[-1].values()), strict=False):
        if there != here:
            return f"{name} is {there} in {paths.history(claim.dataset, claim.run)}, {here} here"
    if stands.chain[-1] == claim.chain[stands.seed, stands.epoch]:
        return None
    carried = "its model" if stands.epoch == claim.block.epochs else "its weights or velocities"
    return f"its line of history is the same, but {carried}, or the hash of that in the chain, is another"


def other_code(claim: Claim) -> list[str]:
    """Name the files of code that are not those by which dvc.lock says that the run was made."""
    made = {Path(out.path) for entry in lockfile.read().values() for out in entry.outs}
    deps = [dep for dep in claim.entry.deps if not is_made(Path(dep.path), made)]
    return [dep.path for dep in deps if dvc.md5_of(Path(dep.path)) != dep.md5]
