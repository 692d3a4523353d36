"""The store of seeds: what is in it, whether that comes out again, and what no code here needs any more."""

from collections import defaultdict
from typing import Annotated

import typer

from samebits.base.address import shown
from samebits.base.errors import UserError
from samebits.seeds import place
from samebits.seeds.looking import Entry, comes_out_again, entries, opened, sample


def main(
    check: Annotated[int, typer.Option(min=0, metavar="N", help="Train N seeds anew, drawn by lot, and compare.")] = 0,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is damaged, or of other code than here.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything.")] = False,
) -> None:
    """Say what the store of trained seeds (SEED_STORE) holds; check and prune it."""
    store = opened()
    found = list(entries(store))
    if check:
        _check(found, check)
        return
    going = [entry for entry in found if clear or (prune and not entry.current)]
    for entry in going:
        store.remove(entry.key)
    if going or clear or prune:
        print(f"removed {len(going)} entries, {_megabytes(going)}")
    _list([entry for entry in found if entry not in going])


def _list(found: list[Entry]) -> None:
    kinds: dict[str, list[Entry]] = defaultdict(list)
    for entry in found:
        kinds[_kind(entry)].append(entry)
    for kind, some in sorted(kinds.items()):
        print(f"{kind}: {_counted(some)}, {_megabytes(some)}")
    print(f"{shown(place.named())}: {_counted(found, ways=False)}, {_megabytes(found)}")


def _counted(some: list[Entry], ways: bool = True) -> str:
    seeds = [entry for entry in some if not entry.passed]
    begun = sum(not entry.ended for entry in seeds if entry.standing) if ways else 0
    passed = len(some) - len(seeds)
    on_their_way = f", {begun} of them on their way" if begun else ""
    return f"{len(seeds)} seeds{on_their_way}{f' and {passed} of their epochs' if passed else ''}"


def _kind(entry: Entry) -> str:
    if entry.standing is None:
        return "damaged, or of an older form"
    return f"{entry.about['name']}, {entry.about['arithmetic']}{'' if entry.current else ', of other code'}"


def _check(found: list[Entry], count: int) -> None:
    chosen = sample(found, count)
    if not chosen:
        raise UserError("the store has no seed that this code has trained to its end: there is nothing to check")
    answers = []
    for entry in chosen:
        again = comes_out_again(entry)
        answers.append(again)
        text = {True: "came out again", False: "did NOT come out again", None: "is of data that are not here"}[again]
        assert entry.standing
        print(f"{entry.about['name']} seed {entry.standing.seed}: {text} ({entry.key[:16]})", flush=True)
    if False in answers:
        raise UserError(
            "an entry is not what this code makes of these data: whoever can write to the store may have put it there, "
            "or one of two machines errs; `samebits store --clear` begins anew"
        )
    if True not in answers:
        raise UserError("none of them could be checked: `dvc repro` brings data here")


def _megabytes(found: list[Entry]) -> str:
    return f"{sum(entry.size for entry in found) / 1e6:.1f} MB"
