"""Where a user asked to have something written: a file, `-`, or what is neither, such as a pipe, a device or a link."""

import sys
from pathlib import Path

from samebits.base.errors import WriteError
from samebits.base.files import whole

STDOUT = Path("-")
OPEN_FILES = ("/dev/", "/proc/")  # names of what is open already, as /dev/stdout


def deliver(text: str, to: Path) -> None:
    """Write `text` as UTF-8: whole, or not at all, to a file, to what a link points to, else as it comes.

    Raises WriteError if that cannot be.
    """
    if to == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
    elif is_stream(to):
        try:
            with to.open("ab") as stream:  # for what may be a file that others write to as well
                stream.write(text.encode())
        except OSError as error:
            raise WriteError(error.errno, error.strerror, str(to)) from error
    else:
        with whole(to.resolve() if to.is_symlink() else to) as scratch:
            scratch.write_bytes(text.encode())


def is_stream(path: Path) -> bool:
    """Whether what is written to `path` goes on from there, to a reader or a device."""
    is_open = str(path.absolute()).startswith(OPEN_FILES) and path.exists()
    return path == STDOUT or is_open or (path.exists() and not path.is_file() and not path.is_dir())
