"""The ledger as a table: kinds of machine against results, for a terminal and for verify.html."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

from samebits.claims.ledger import Hashes, Line


class Kind(NamedTuple):
    """What tells one machine or implementation from another; threads, numpy and the last part of a version do not."""

    implementation: str
    torch: str
    device: str
    processor: str
    instructions: str
    system: str

    @classmethod
    def of(cls, line: Line) -> "Kind":
        """Return the kind that recorded a line."""
        kind = cls(**{name: getattr(line, name) for name in cls._fields})
        return kind._replace(implementation=re.sub(r"(\d+\.\d+)\.\S+", r"\1", kind.implementation))

    def __str__(self) -> str:
        """Without what is empty or the common case."""
        torch = f"torch {self.torch}" if self.torch else ""
        device = "" if self.device == "cpu" else self.device
        return ", ".join(
            filter(None, (self.implementation, torch, device, self.processor, self.instructions, self.system))
        )


@dataclass
class Result:
    """A result by its name and the hash that it should have, and who saw which."""

    name: str
    hash: str
    seen: dict[Kind, set[str]] = field(default_factory=dict)
    lines: int = 0

    @property
    def others(self) -> dict[Kind, set[str]]:
        """Other hashes than the right one, by who saw them."""
        return {kind: more for kind, hashes in self.seen.items() if (more := hashes - {self.hash})}


@dataclass(frozen=True)
class Tally:
    """The results that are claimed here, as far as somebody saw them, and other results, which other claims had."""

    here: list[Result]
    elsewhere: list[Result]

    @property
    def kinds(self) -> list[Kind]:
        """All that saw a result that is claimed here."""
        return sorted({kind for result in self.here for kind in result.seen})

    @property
    def differing(self) -> list[Result]:
        """The results of here that somebody saw otherwise."""
        return [result for result in self.here if result.others]


def tally(lines: Iterable[Line], claimed: Hashes) -> Tally:
    """Sort the lines of a ledger by result; `claimed` has the hashes that the results have here."""
    found: dict[tuple[str, str], Result] = {}
    for line in lines:
        kind = Kind.of(line)
        for name, wanted in line.claimed.items():
            result = found.setdefault((name, wanted), Result(name, wanted))
            result.seen.setdefault(kind, set()).add(line.seen[name])
            result.lines += 1
    results = [found[key] for key in sorted(found)]
    here = [result for result in results if claimed.get(result.name) == result.hash]
    return Tally(here, [result for result in results if result not in here])


def verdict(tally: Tally) -> str:
    """Say in one sentence what the ledger shows of the results that are claimed here."""
    if not tally.here:
        return "nobody has recorded a result that is claimed here"
    if tally.differing:
        said = (f"{r.name} should be {r.hash}, and was {_others(r)}" for r in tally.differing)
        return f"NOT one hash: {'; '.join(said)}"
    kinds, results = len(tally.kinds), len(tally.here)
    return f"one hash for each result; results: {results}, kinds of machine or implementation: {kinds}"


def _others(result: Result) -> str:
    return ", ".join(f"{' and '.join(sorted(hashes))} on {kind}" for kind, hashes in result.others.items())


# --------------------------------------------------------------------------------------------------------------- tables


def terminal(tally: Tally) -> str:
    """Return the tables in columns: who saw what, with which hash, and what is of other claims."""
    parts = [_aligned(rows) for rows in (_matrix(tally), _hashes(tally.here)) if len(rows) > 1]
    if tally.elsewhere:
        parts.append(
            f"of other claims than {'those' if tally.here else 'any'} here:\n{_aligned(_hashes(tally.elsewhere))}"
        )
    return "\n\n".join([*parts, verdict(tally)])


def html(tally: Tally) -> str:
    """Return the tables for the page; whatever comes from the ledger is escaped."""
    tables = [_table(rows) for rows in (_matrix(tally), _hashes(tally.here)) if len(rows) > 1]
    if tally.elsewhere:
        tables.append(
            f'<p class="quiet">Of other claims than those of this page:</p>\n{_table(_hashes(tally.elsewhere))}'
        )
    mark = "wrong" if tally.differing else "right" if tally.here else "quiet"
    said = verdict(tally)
    return "\n".join([f'<p class="{mark}">{escape(said[0].upper() + said[1:])}.</p>', *tables])


Rows = list[tuple[str, ...]]


def _matrix(tally: Tally) -> Rows:
    """A row for each kind, a column for each dataset: all of it, or the runs that were verified."""
    groups = list(dict.fromkeys(_group(result) for result in tally.here))
    return [
        (*Kind._fields, *groups),
        *((*kind, *(_cell(tally, kind, group) for group in groups)) for kind in tally.kinds),
    ]


def _cell(tally: Tally, kind: Kind, group: str) -> str:
    seen = [result for result in tally.here if _group(result) == group and kind in result.seen]
    if wrong := [_part(result) for result in seen if kind in result.others]:
        return f"DIFFERS: {' '.join(wrong)}"
    names = [_part(result) for result in seen]
    return "all" if "all" in names else " ".join(names)


def _group(result: Result) -> str:
    return result.name.partition("/")[0]


def _part(result: Result) -> str:
    return result.name.partition("/")[2] or "all"


def _hashes(results: list[Result]) -> Rows:
    rows = [
        (r.name, r.hash, str(len(r.seen)), str(r.lines), f"DIFFERS: {_others(r)}" if r.others else "") for r in results
    ]
    return [("result", "hash", "kinds", "lines", ""), *rows]


def _aligned(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _table(rows: Rows) -> str:
    head, *body = ("".join(_td(cell, "th" if row is rows[0] else "td") for cell in row) for row in rows)
    lines = [f"<thead><tr>{head}</tr></thead>", *(f"<tr>{row}</tr>" for row in body)]
    return "\n".join(['<div class="wide" tabindex="0"><table>', *lines, "</table></div>"])


def _td(cell: str, tag: str) -> str:
    mark = ' class="wrong"' if cell.startswith("DIFFERS") else ""
    return f"<{tag}{mark}>{escape(cell)}</{tag}>"
