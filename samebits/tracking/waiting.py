"""How long MLflow's store is waited for."""

import os
import re

from samebits.base.errors import UserError

BUDGET = 10.0  # seconds that are lost at most on a store that hangs, by a stage in all and by hand each time
SETTING_UP = 60.0  # seconds that a new database may take, for that is work and no waiting
SLOWEST = 100_000  # bytes a second: what files that are sent or fetched make at least


def first_answer(server: bool) -> float:
    """Seconds until a store must have answered for the first time: a server that is dead is not asked twice."""
    return request_seconds() if server else BUDGET


def later_answer() -> float:
    """Seconds until it must have answered any time later; no less than a single request is allowed to take."""
    return max(BUDGET, request_seconds())


def request_seconds() -> float:
    """Seconds that one request may take; who has not answered by then gets no second one. Raises UserError."""
    said = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
    if not re.fullmatch(r"0*[1-9]\d{0,5}", said):  # what MLflow takes, and less than two weeks
        raise UserError(f"MLFLOW_HTTP_REQUEST_TIMEOUT is '{said[:200]}': it must be a whole number of seconds")
    return 1.0 + int(said)
