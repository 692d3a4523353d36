"""Run all parts, or those named, and print a table at the end: `python -m tests.faults [PART=COUNT ...]`."""

import sys
from collections.abc import Callable

from tests.faults.clusters import clusters
from tests.faults.disks import disks
from tests.faults.figures import Figures, table
from tests.faults.inputs import inputs
from tests.faults.kills import kills
from tests.faults.servers import servers

PARTS: dict[str, tuple[Callable[[int], Figures | list[Figures]], int]] = {
    "kills": (kills, 50),
    "clusters": (clusters, 10),
    "disks": (disks, 10),
    "servers": (servers, 24),
    "inputs": (inputs, 2000),
}


def main(arguments: list[str]) -> int:
    """Return 1 if anything went wrong."""
    asked = dict(argument.partition("=")[::2] for argument in arguments) or dict.fromkeys(PARTS, "")
    rows: list[Figures] = []
    for name, number in asked.items():
        part, usual = PARTS[name]
        done = part(int(number or usual))
        rows += done if isinstance(done, list) else [done]
    print(f"\n{table(rows)}")
    return int(any(row.wrong for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
