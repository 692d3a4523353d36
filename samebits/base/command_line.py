"""What every command line shares: one clear sentence for a user's mistake."""

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from samebits.base import interruption, last_good, paths
from samebits.base.address import discreet
from samebits.base.errors import REASONS, UserError, WriteError, reason

# What several commands take
Datasets = Annotated[list[str] | None, typer.Argument(help="Only these; all of params.yaml if none.")]
Repro = Annotated[
    bool, typer.Option("--repro", help="Run first what is not up to date; DATASETS in a copy of the project.")
]


def run_stage(main: Callable[..., None]) -> None:
    """Run `main` as the command line of a stage: its arguments, its --help, its errors as sentences."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded(last_good.replaced_by(main)))
    app()


def note(text: str) -> None:
    """Say something beside the verdict, which alone goes to stdout."""
    print(f"note: {text}", file=sys.stderr, flush=True)


def require_named(what: str, name: str) -> None:
    """Raise UserError unless `name`, given as `what`, is one as datasets and signers have it."""
    from samebits.base.schema import NAMED  # here, for a list of commands need not wait for pydantic

    pattern, wanted = NAMED
    if not re.fullmatch(pattern, name):
        raise UserError(f"{what} is '{name}', but it should be {wanted}")


def require_project() -> None:
    """Raise UserError unless this is the root of a project."""
    here = Path.cwd()
    if not paths.PIPELINE.is_file():
        above = next((folder for folder in here.parents if (folder / paths.PIPELINE).is_file()), None)
        root = f"the root of the project, {os.path.relpath(above)}" if above else "the root of a samebits project"
        raise UserError(f"{here} holds no {paths.PIPELINE}: run this from {root}")


def guarded(main: Callable[..., None]) -> Callable[..., None]:
    """Return `main` with its errors as sentences on stderr and its exit code."""

    @functools.wraps(main)  # keeps the signature that typer reads
    def run(*args: object, **options: object) -> None:
        try:
            main(*args, **options)
        except KeyboardInterrupt:
            _fail(interruption.SAID, interruption.exit_code())
        except UserError as error:
            _fail(str(error), error.exit_code)
        except OSError as error:
            if error.filename is None and error.errno not in REASONS:  # no file's, but ours or the network's
                raise
            what = "write" if isinstance(error, WriteError) else "use"
            _fail(f"cannot {what} {error.filename or 'a file'}: {reason(error)}", code=1)

    return run


def _fail(sentence: str, code: int) -> None:
    stage = os.environ.get("DVC_STAGE")
    print(f"error: {f'{stage}: ' if stage else ''}{discreet(sentence)}", file=sys.stderr)
    raise typer.Exit(code)
