"""What Git knows of the project: the commit that is checked out, and whether anything differs from it."""

import functools
import os
import subprocess
from dataclasses import dataclass

from samebits.base.errors import UserError

NO_CAUSE = (
    ":(exclude)dvc.lock",
    ":(exclude)reference",
    ":(exclude)claims/ledger.csv",
)  # they record results and choose none


@dataclass(frozen=True)
class Checkout:
    """The commit that is checked out; dirty is any difference from it but one in what records results."""

    commit: str
    branch: str
    dirty: bool


def checkout() -> Checkout | None:
    """Return what is checked out here; None outside a repository, in one without a commit, and without Git."""
    commit = asked("rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    dirty = bool(asked("status", "--porcelain", "--", ".", *NO_CAUSE))
    return Checkout(commit, asked("rev-parse", "--abbrev-ref", "HEAD"), dirty)


def asked(*question: str) -> str:
    """Return what a Git command prints; nothing if it fails or there is no Git."""
    try:
        return subprocess.run(["git", *question], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def required(*arguments: str, otherwise: str = "git: {reason}") -> str:
    """Return what a Git command prints. Raises UserError, saying `otherwise`, if it fails."""
    try:
        done = subprocess.run(["git", *arguments], env=plain_environment(), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("Git is needed for this, and is not installed here") from None
    if done.returncode:
        raise UserError(otherwise.replace("{reason}", done.stderr.strip().removeprefix("fatal: ")))
    return done.stdout.strip()


def require_repository(what: str) -> None:
    """Raise UserError, saying that `what` needs Git, in a folder that is not in a repository."""
    needs = f"{what} needs Git ({{reason}}): clone the project; `make demo` and `samebits predict` do without"
    required("rev-parse", "--git-dir", otherwise=needs)


def plain_environment() -> dict[str, str]:
    """Return the environment without what Git sets for a hook: in a clone it would mean the user's repository."""
    return {name: value for name, value in os.environ.items() if name not in _hook_variables()}


@functools.cache
def _hook_variables() -> list[str]:
    """Ask Git for the names of GIT_DIR and the like."""
    line = ["git", "rev-parse", "--local-env-vars"]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout.split()
