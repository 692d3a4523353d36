"""Who trains: the environment variable WORKERS says, since it changes no result, only who has the work."""

import os
import re

from samebits.base.errors import UserError
from samebits.seeds.crew import Crew

MOST = 256  # processes on a machine
ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^\s:@]+:\d{1,5}/?|(tcp|tls|ws|wss)://\[[0-9a-fA-F:]+\]:\d{1,5}/?")


def wanted() -> Crew | None:
    """Return the workers that WORKERS names: None for nobody else than this process. Raises UserError."""
    text = os.environ.get("WORKERS", "").strip()
    if not text:
        return None
    if re.fullmatch(r"[1-9]\d{0,2}", text) and int(text) <= MOST:
        from samebits.seeds.processes import LINE, Processes

        return Processes([LINE] * int(text)) if int(text) > 1 else None
    if ADDRESS.fullmatch(text):
        from samebits.seeds.cluster import Cluster

        return Cluster(text)
    raise UserError(
        f"WORKERS={text[:100]} is neither a number of processes, 1 to {MOST}, nor the address of a Dask scheduler, "
        "as tcp://HOST:8786"
    )
