"""What every `python -m stages.NAME` shares: one clear sentence for a user's mistake, and nothing lost.

DVC removes a stage's outputs before it starts the stage. When the stage then fails, for whatever reason, the
outputs that dvc.lock names are put back from DVC's cache, so that a failed run leaves things as it found them.
"""

import errno
import functools
import os
import subprocess
import sys
from collections.abc import Callable

import typer

from stages.errors import UserError

__all__ = ["UserError", "command", "note"]

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


def command(function: Callable[..., None]) -> None:
    """Run `function` as the command line of its module: its arguments, its --help, its errors as sentences."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(_guarded(function))
    app()


def note(text: str) -> None:
    """Say something beside the verdict, which alone goes to stdout."""
    print(f"note: {text}", file=sys.stderr, flush=True)


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)  # keeps the signature that typer reads
    def guarded(*args: object, **options: object) -> None:
        try:
            function(*args, **options)
        except KeyboardInterrupt:
            _fail("interrupted; nothing half-written is left behind", code=130)
        except UserError as error:
            _fail(str(error), code=1)
        except OSError as error:
            if error.errno not in REASONS:
                _restore_outputs()
                raise
            _fail(f"cannot write {error.filename or 'a file'}: {REASONS[error.errno]}", code=1)
        except Exception:
            _restore_outputs()
            raise

    return guarded


def _fail(sentence: str, code: int) -> None:
    stage = os.environ.get("DVC_STAGE")
    print(f"error: {f'{stage}: ' if stage else ''}{sentence}", file=sys.stderr)
    _restore_outputs()
    raise typer.Exit(code)


def _restore_outputs() -> None:
    """Under DVC, bring back the outputs of the last good run of this stage, where there was one."""
    stage = os.environ.get("DVC_STAGE")
    if stage:
        dvc = [sys.executable, "-m", "dvc", "checkout", "--quiet", "--force", stage]
        subprocess.run(dvc, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
