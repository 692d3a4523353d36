"""Do other kinds of processor compute the same bits? `make machines` runs the witness on each and compares."""

from typing import Annotated

import typer

from samebits.claims.machines import compare, kinds


def main(
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this kind, beside this machine; can be given again. {', '.join(kinds.OTHERS)}, "
            "or any other x86-64 processor that qemu knows."
        ),
    ] = None,
) -> None:
    """Compute the same on this machine and on others that are emulated, and say whether every bit agrees."""
    chosen = [kinds.find(name) for name in dict.fromkeys([kinds.HERE, *(kind or kinds.ALL)])]
    found, failures = kinds.ask_all(chosen)
    print(compare.table(found))
    if faults := [*failures, *compare.faults(found)]:
        print("\n".join(faults))
        raise typer.Exit(1)
    print(compare.praise(found))
