"""Do other kinds of processor compute the same bits? `make machines` runs the witness on each and compares."""

from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Annotated

import typer

from samebits.base.command_line import note
from samebits.base.errors import UserError
from samebits.claims.machines import compare, kinds
from samebits.claims.machines.kinds import Kind, Witness

TOGETHER = 2  # kinds that run at a time, with one thread each


def main(
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this kind, beside this machine; can be given again. {', '.join(kinds.ALL)}, "
            "or any other x86-64 processor that qemu knows."
        ),
    ] = None,
) -> None:
    """Compute the same on this machine and on others that are emulated, and say whether every bit agrees."""
    chosen = [kinds.find(name) for name in dict.fromkeys([kinds.HERE, *(kind or kinds.ALL)])]
    found, failures = ask(chosen)
    print(compare.table(found))
    if faults := [*failures, *compare.faults(found)]:
        print("\n".join(faults))
        raise typer.Exit(1)
    print(compare.praise(found))


def ask(chosen: list[Kind]) -> tuple[list[Witness], list[str]]:
    """Ask the kinds, some at a time, and tell of each when it has answered. Also returns why others did not."""
    found, failures = {}, []
    with ThreadPoolExecutor(TOGETHER) as pool:
        asked = {pool.submit(kinds.ask, kind): kind.name for kind in chosen}
        try:
            for answer in as_completed(asked):
                try:
                    witness = found[asked[answer]] = answer.result()
                    note(f"{witness.kind} took {witness.seconds:.0f} s")
                except UserError as error:
                    failures.append(f"NOT run: {error}")
                    note(str(error))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return [found[kind.name] for kind in chosen if kind.name in found], failures
