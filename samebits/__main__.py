"""`samebits`, or `python -m samebits`: the command line."""

import sys

from samebits.base.threads import spin_briefly
from samebits.base.user import give_name


def main() -> None:
    """Run a command, or say that the packages that the commands need are not installed."""
    spin_briefly()  # before a command imports torch
    give_name()  # before one asks for it
    try:
        from samebits.commands import line

        line.run()  # which loads a command, and what that needs, when it is asked for
    except ModuleNotFoundError as error:
        _refuse(error)


def _refuse(error: ModuleNotFoundError) -> None:
    """End with one sentence where only `samebits.exact` was installed, or not all that the commands need."""
    if str(error.name).partition(".")[0] == "samebits":
        raise error
    sys.exit(f"error: {error.name} is not installed: the commands need `pip install 'samebits[pipeline]'`")


if __name__ == "__main__":
    main()
