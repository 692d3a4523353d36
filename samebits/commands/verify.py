"""Do the results that a commit's dvc.lock records come out again on this machine, bit for bit? `make verify` tells.

The pipeline runs in a temporary clone of the commit; what it writes there is held against the dvc.lock that was
committed. Files of the checkout are only read.
"""

from pathlib import Path
from typing import Annotated

import typer

from samebits.base import dvc
from samebits.base.command_line import note
from samebits.claims import copies, differences, verifying


def main(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(help="Only these, without the report; params.yaml need not name them, dvc.lock must."),
    ] = None,
    rev: Annotated[str, typer.Option(help="The commit to verify.")] = "HEAD",
) -> None:
    """Run the pipeline of a commit in a temporary clone and say whether its dvc.lock comes out again."""
    commit = verifying.resolve(rev)
    with copies.temporary() as folder:
        clone = verifying.make_clone(commit, folder / "clone")
        recorded = verifying.take_lock(clone, commit)
        fresh = verifying.rerun(verifying.choose_stages(clone, recorded, commit, *datasets or ()), clone)
        if changed := differences.origins_that_differ(recorded, fresh):
            note(f"dvc.lock at {commit} was not made by that commit; it had another {', another '.join(changed)}")
        found = list(differences.between(recorded, fresh))
        for other in found[1:]:
            note(f"stage {other.stage} differs too, in {other.path}")
        if found:
            where = differences.explain(found[0], Path(), clone, dvc.cache())
            print(f"NOT reproduced: stage {found[0].stage} differs first, in {where}")
            raise typer.Exit(1)
    outputs = sum(len(differences.outputs(entry)) for entry in fresh.values())
    print(
        f"reproduced: all {outputs} outputs of {len(fresh)} stages in dvc.lock ({commit}) "
        "came out bit for bit the same on this machine"
    )
