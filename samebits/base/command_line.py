"""What every command line shares: one clear sentence for a user's mistake, and nothing lost.

DVC removes a stage's outputs before it starts the stage. When the stage then fails, for whatever reason, the
outputs that dvc.lock names are put back from DVC's cache, so that a failed run leaves things as it found them.
"""

import errno
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from samebits.base import dvc, paths
from samebits.base.errors import UserError

# What several commands take
Datasets = Annotated[list[str] | None, typer.Argument(help="Only these; all of params.yaml if none.")]
Repro = Annotated[
    bool, typer.Option("--repro", help="Run first what is not up to date; DATASETS in a copy of the project.")
]

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a file is where a folder should be",
    errno.EEXIST: "a file is where a folder should be",
    errno.EISDIR: "a folder is where a file should be",
}


def run_stage(main: Callable[..., None]) -> None:
    """Run `main` as the command line of a stage: its arguments, its --help, its errors as sentences."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded(main))
    app()


def note(text: str) -> None:
    """Say something beside the verdict, which alone goes to stdout."""
    print(f"note: {text}", file=sys.stderr, flush=True)


def require_project() -> None:
    """Raise UserError unless this is the root of a project."""
    if not paths.PIPELINE.is_file():
        raise UserError(f"{Path.cwd()} holds no {paths.PIPELINE}: run this from the root of a samebits project")


def guarded(main: Callable[..., None]) -> Callable[..., None]:
    """Return `main` with its errors as sentences on stderr and its exit code."""

    @functools.wraps(main)  # keeps the signature that typer reads
    def run(*args: object, **options: object) -> None:
        try:
            main(*args, **options)
        except KeyboardInterrupt:
            _fail("interrupted; nothing half-written is left behind", code=130)
        except UserError as error:
            _fail(str(error), error.exit_code)
        except OSError as error:
            if error.errno not in REASONS:
                _restore_outputs()
                raise
            _fail(f"cannot write {error.filename or 'a file'}: {REASONS[error.errno]}", code=1)
        except Exception:
            _restore_outputs()
            raise

    return run


def _fail(sentence: str, code: int) -> None:
    stage = os.environ.get("DVC_STAGE")
    print(f"error: {f'{stage}: ' if stage else ''}{sentence}", file=sys.stderr)
    _restore_outputs()
    raise typer.Exit(code)


def _restore_outputs() -> None:
    """Under DVC, bring back the outputs of the last good run of this stage, where there was one."""
    stage = os.environ.get("DVC_STAGE")
    if stage:
        line = dvc.line("checkout", "--quiet", "--force", stage)
        subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
