"""The error that users see as one sentence; it imports nothing of the project, so that every room may raise it."""

import errno

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


class UserError(Exception):
    """A mistake that the user can mend: the message says what is wrong, where, and what would be right."""

    exit_code = 1


class WriteError(OSError):
    """A file that cannot be written, as against one that cannot be read."""


def reason(error: OSError) -> str:
    """Say why a file cannot be read or written."""
    text = error.strerror or ""
    return REASONS.get(error.errno or 0, text[:1].lower() + text[1:] or str(error) or type(error).__name__)


def brief(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).partition("\n")[0] or type(error).__name__
