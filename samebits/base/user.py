"""The name of whoever runs this, which DVC and MLflow ask the system for."""

import getpass
import os


def give_name() -> None:
    """Call a user whom the system has no name for, as in a container that runs as a bare number, by that number."""
    try:
        getpass.getuser()
    except (KeyError, ImportError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())
