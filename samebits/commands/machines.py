"""Do other kinds of processor compute the same bits? `make machines` runs the witness on each and compares."""

from typing import Annotated

import typer

from samebits.base.command_line import note
from samebits.base.source import ROOT
from samebits.claims import ledger
from samebits.claims.machines import compare, kinds


def main(
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this kind, beside this machine; can be given again. {', '.join(kinds.OTHERS)}, "
            "or any other x86-64 processor that qemu knows."
        ),
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Add a line for each kind to claims/ledger.csv.")] = False,
) -> None:
    """Compute the same on this machine and on others that are emulated, and say whether every bit agrees."""
    if record:
        ledger.require_open()  # what is wrong there is said before minutes are spent
    chosen = [kinds.find(name) for name in dict.fromkeys([kinds.HERE, *(kind or kinds.ALL)])]
    found, failures = kinds.ask_all(chosen)
    print(compare.table(found))
    faults = [*failures, *compare.faults(found)]
    print("\n".join(faults) if faults else compare.praise(found))
    if record:
        _record([witness for witness in found if not witness.refused])
    if faults:
        raise typer.Exit(1)


def _record(found: list[kinds.Witness]) -> None:
    """Add a line for each kind that came to its end; one that is emulated may say that it is this processor."""
    code = ledger.code(ledger.lock_here(), ROOT)
    (name,) = ledger.WITNESS
    lines = []
    for witness in found:
        emulated = {} if witness.kind == kinds.HERE else {"processor": f"{witness.kind} (qemu)"}
        seen = {name: compare.without_report(witness)}
        lines.append(ledger.line(ledger.WITNESS, seen, code, witness.machine | emulated, witness.seconds))
    ledger.append(lines)
    note(f"lines added to {ledger.LEDGER}: {len(lines)}; commit it")
