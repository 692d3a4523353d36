"""Is one seed of a run, up to one epoch, what dvc.lock claims? A spot check: a small part of the training, done anew.

docs/verify.md says what it proves, and what it does not.
"""

import time
from typing import Annotated

import typer

from samebits.base import git, paths
from samebits.base.command_line import note
from samebits.base.errors import UserError
from samebits.claims import audit, overlays
from samebits.learning.course import Standing


def main(
    dataset: Annotated[str, typer.Argument(help="What was trained on.")],
    run: Annotated[str, typer.Argument(help="scratch, concise, mlp or your own network.")],
    seed: Annotated[int | None, typer.Option(help="The seed to train; the first unless given.")] = None,
    epoch: Annotated[int | None, typer.Option(help="The epoch to train it to; the last unless given.")] = None,
    from_store: Annotated[
        bool, typer.Option("--from-store", help="Begin at the last epoch before that the seed store kept.")
    ] = False,
) -> None:
    """Train one seed up to one epoch, and compare each epoch with the chain of hashes beside the model."""
    claim = audit.claimed(dataset, run, overlays.load(dataset))
    seed, epoch = _chosen(claim, seed, epoch)
    if git.asked("status", "--porcelain", "--", str(paths.LOCK)):
        note(f"{paths.LOCK} is not the committed one: what it says here is audited")
    if wrong := list(audit.ends(claim)):
        chain, model = paths.chain(dataset, run), paths.model(dataset, run)
        _fail(claim, f"{chain} does not end in {model} and its history for seed {', '.join(map(str, wrong))}")
    started = time.perf_counter()
    course = audit.course(claim, seed)
    start = audit.kept(claim, course, seed, epoch) if from_store else Standing(seed)
    if where := audit.first_difference(claim, course, start, epoch):
        _fail(claim, f"{dataset} {run} seed {seed} differs first {where}")
    done, whole = epoch - start.epoch, len(claim.chain)
    origin = f", from what the seed store kept of epoch {start.epoch}," if start.epoch else ""
    print(
        f"reproduced: {dataset} {run} seed {seed} up to epoch {epoch}{origin} has the same {done} "
        f"{'hash' if done == 1 else 'hashes'} here as in {paths.chain(dataset, run)} "
        f"({time.perf_counter() - started:.1f} s, {done} of the stage's {whole} epochs, "
        f"{done / whole:.1%} of its training)"
    )


def _chosen(claim: audit.Claim, seed: int | None, epoch: int | None) -> tuple[int, int]:
    """Return the seed and the epoch that are meant. Raises UserError for one that the run does not have."""
    seeds, epochs, of = claim.block.seeds, claim.block.epochs, f"{claim.dataset} {claim.run}"
    seed, epoch = seeds[0] if seed is None else seed, epochs if epoch is None else epoch
    if seed not in seeds:
        raise UserError(f"--seed is {seed}, but {of} has the seeds {', '.join(map(str, seeds))}")
    if not 1 <= epoch <= epochs:
        raise UserError(f"--epoch is {epoch}, but {of} has the epochs 1 to {epochs}")
    return seed, epoch


def _fail(claim: audit.Claim, what: str) -> None:
    if code := audit.other_code(claim):
        note(f"{paths.LOCK} was made by another {', another '.join(code)}")
    print(f"NOT reproduced: {what}")
    raise typer.Exit(1)
