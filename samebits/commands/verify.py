"""Do the results that a commit's dvc.lock records come out again on this machine, bit for bit? `make verify` tells.

The pipeline runs in a temporary clone of the commit; what it writes there is held against the dvc.lock that was
committed. Files of the checkout are only read.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from samebits.base import dvc
from samebits.base.command_line import note
from samebits.claims import copies, differences, ledger, verifying


def main(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(help="Only these, without the report; params.yaml need not name them, dvc.lock must."),
    ] = None,
    rev: Annotated[str, typer.Option(help="The commit to verify.")] = "HEAD",
    record: Annotated[bool, typer.Option("--record", help="Add a line to claims/ledger.csv, however it ends.")] = False,
) -> None:
    """Run the pipeline of a commit in a temporary clone and say whether its dvc.lock comes out again."""
    commit, began = verifying.resolve(rev), time.perf_counter()
    if record:
        ledger.require_open()  # what is wrong there is said before an hour is spent
    with copies.temporary() as folder:
        clone = verifying.make_clone(commit, folder / "clone")
        recorded = verifying.take_lock(clone, commit)
        fresh = verifying.rerun(verifying.choose(clone, recorded, commit, *datasets or ()), clone)
        if changed := differences.origins_that_differ(recorded, fresh):
            note(f"dvc.lock at {commit} was not made by that commit; it had another {', another '.join(changed)}")
        found = list(differences.between(recorded, fresh))
        for other in found[1:]:
            note(f"stage {other.stage} differs too, in {other.path}")
        print(_verdict(found, fresh, clone, commit))
        if record:
            _record(recorded, fresh, clone, time.perf_counter() - began)
    if found:
        raise typer.Exit(1)


def _verdict(found: list[differences.Difference], fresh: differences.Lock, clone: Path, commit: str) -> str:
    if found:
        where = differences.explain(found[0], Path(), clone, dvc.cache())
        return f"NOT reproduced: stage {found[0].stage} differs first, in {where}"
    outputs = sum(len(differences.outputs(entry)) for entry in fresh.values())
    return (
        f"reproduced: all {outputs} outputs of {len(fresh)} stages in dvc.lock ({commit}) "
        "came out bit for bit the same on this machine"
    )


def _record(recorded: differences.Lock, fresh: differences.Lock, clone: Path, seconds: float) -> None:
    from samebits.claims.machines.description import description  # here, for it imports torch

    claimed = ledger.results({stage: recorded[stage] for stage in fresh})
    seen = ledger.results(fresh)
    ledger.append([ledger.line(claimed, seen, ledger.code(fresh, clone), description(), seconds)])
    note(f"a line was added to {ledger.LEDGER}: commit it")
