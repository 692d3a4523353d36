"""What the kinds computed, held against each other and against the hashes that are committed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from samebits.base import paths
from samebits.claims.machines import golden
from samebits.claims.machines.kinds import HERE, Witness

COMMITTED = "committed"
SHOWN = 12  # parts that differ: one cause has many effects, and the parts are in the order in which they are computed


def whole(witness: Witness) -> str:
    """One hash over all exact parts, names included."""
    return _hash(witness.exact)


def without_report(witness: Witness) -> str:
    """One hash over all but the report, which is renewed for reasons that are no number's."""
    return _hash({part: value for part, value in witness.exact.items() if Path(part).parts[0] != str(paths.REPORTS)})


def _hash(parts: Mapping[str, str]) -> str:
    lines = "".join(f"{value} {part}\n" for part, value in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def table(found: list[Witness]) -> str:
    """A row for each kind."""
    names = {HERE: "this machine"}
    rows = [("kind", "torch", "CPU", "exact", "float32", "seconds")]
    rows += [(names.get(w.kind, w.kind), w.torch, w.cpu, whole(w), w.float32, f"{w.seconds:.0f}") for w in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def differing(found: list[Witness]) -> dict[str, dict[str, list[str]]]:
    """The exact parts with more than one hash: the kinds that have each, what is committed first.

    A kind that was refused has no part in what it did not come to; of another, a part that is missing is a difference.
    """
    parts = dict.fromkeys(part for witness in found for part in witness.exact)
    sides: dict[str, dict[str, list[str]]] = {part: {} for part in parts}
    for part in parts:
        if part in golden.HASHES:
            sides[part][golden.HASHES[part]] = [COMMITTED]
        for witness in found:
            if part in witness.exact or not witness.refused:
                sides[part].setdefault(witness.exact.get(part, "nothing"), []).append(witness.kind)
    return {part: by_hash for part, by_hash in sides.items() if len(by_hash) > 1}


def told(parts: dict[str, dict[str, list[str]]]) -> list[str]:
    """A line for each part, the first SHOWN of them: who is on which side."""
    lines = []
    for part, sides in parts.items():
        told = [f"{value} {', '.join(kinds)}" for value, kinds in sides.items()]
        lines.append(f"{part}: {'; '.join(told)}")
    return [*lines[:SHOWN], *([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])]


def faults(found: list[Witness]) -> list[str]:
    """What speaks against the promise, or against the proof of it: nothing, if all is well."""
    lines = []
    if parts := differing(found):
        lines += [
            *told(parts),
            f"NOT the same: {len(parts)} exact {'part differs' if len(parts) == 1 else 'parts differ'}",
        ]
    lines += [f"NOT run to the end on {witness.kind}: {witness.refused}" for witness in found if witness.refused]
    if len(found) > 1 and len({witness.float32 for witness in found}) == 1:
        lines.append("NOT shown: float32 has one hash too, so these kinds are too much alike to show anything")
    return lines


def praise(found: list[Witness]) -> str:
    """What a run without faults has shown."""
    parts = len(found[0].exact)
    if len(found) == 1:
        return f"as committed: {len(golden.HASHES)} of {parts} exact parts have a committed hash, and it came out"
    spread = len({witness.float32 for witness in found})
    return f"the same: all {parts} exact parts on {len(found)} kinds of machine; float32 has {spread} hashes there"
