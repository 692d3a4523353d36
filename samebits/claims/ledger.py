"""claims/ledger.csv: a line for each verification that was recorded: of what, on what kind of machine, how it ended.

A line ends in a short hash of itself, by which slips and mangling are noticed. That is no signature: who changes a
line on purpose can write its hash anew.
"""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from samebits.base import lockfile, paths
from samebits.base.alone import alone
from samebits.base.errors import UserError
from samebits.base.files import whole
from samebits.base.lockfile import dataset_of
from samebits.base.schema import Strict, matching, parse
from samebits.claims import differences
from samebits.claims.differences import Lock, outputs

LEDGER = Path("claims/ledger.csv")
LOCK = Path(".dvc/tmp/ledger.lock")
PATIENCE = 60  # seconds; an append takes milliseconds
SAME = "same"  # the outcome where every hash came out
# What `samebits machines` must compute, without the report: dvc.lock does not know of it. No dataset has a hyphen.
WITNESS = {"machine-witness": "c96d76f49f80589c"}

Hashes = dict[str, str]  # by the name of a result: DATASET, all that is made for it but the report, or DATASET/RUN

PAIR = "[a-z0-9_-]+(/[a-z0-9_]+)?=[0-9a-f]{16}"
PAIRS = f"{PAIR}( {PAIR})*"
Results = Annotated[str, matching(PAIRS, "RESULT=HASH, and more of them after a space")]
Outcome = Annotated[str, matching(f"{SAME}|{PAIRS}", f"{SAME}, or RESULT=HASH of each that was another one")]
Code = Annotated[str, matching("[0-9a-f]{16}", "16 hexadecimal digits")]
Count = Annotated[str, matching("[1-9][0-9]{0,5}", "a whole number above 0")]
Seconds = Annotated[str, matching(r"[0-9]{1,8}\.[0-9]", "seconds with one decimal")]
# Control characters, and those that no eye sees: they turn lines round, end or hide them (site/ledger.js has the same).
UNSEEN = r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
Text = Annotated[
    str,
    matching(f'[^{UNSEEN},"]{{0,100}}', "at most 100 characters, without comma, quote and control characters"),
]


class Line(Strict):
    """What was verified, how it ended, and by what; the file's columns in their order, but for the line's hash."""

    results: Results  # as dvc.lock has them
    outcome: Outcome
    code: Code  # of the files of code that made them, those of the program that did
    implementation: Text
    processor: Text
    instructions: Text
    system: Text
    torch: Text
    numpy: Text
    device: Text
    threads: Count
    seconds: Seconds

    @property
    def claimed(self) -> Hashes:
        """The hash that each result should have."""
        return dict(_named(self.results))

    @property
    def seen(self) -> Hashes:
        """The hash that each result had."""
        return self.claimed | ({} if self.outcome == SAME else dict(_named(self.outcome)))


COLUMNS = tuple(Line.model_fields)
HEADER = ",".join((*COLUMNS, "check"))
MARK = "\ufeff"  # that some editors put before a text
CONFLICT = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")


def line(claimed: Hashes, seen: Hashes, code: str, machine: Mapping[str, str], seconds: float) -> Line:
    """Return the line of a verification; `machine` has the columns that tell of what kind it was.

    Raises UserError if no result was verified.
    """
    if not claimed:
        raise UserError(f"there is nothing to record in {LEDGER}: what was verified is of no dataset")
    others = {name: hash for name in claimed if (hash := seen.get(name, digest({}))) != claimed[name]}
    told = {name: _plain(text) for name, text in machine.items()}
    return Line(results=_joined(claimed), outcome=_joined(others) or SAME, code=code, seconds=f"{seconds:.1f}", **told)


def text_of(line: Line) -> str:
    """Return a line as the file has it, without its end."""
    text = ",".join(line.model_dump().values())
    return f"{text},{short(text, 8)}"


def lines_in(text: str, where: str) -> list[Line]:
    """Return the lines of a ledger, or of a part of one; a line that a merge has doubled is one.

    Raises UserError naming a line that is none, or was changed after it was written.
    """
    rows = [row.rstrip("\r") for row in text.removeprefix(MARK).split("\n")]
    numbered = {row: number for number, row in enumerate(rows, start=1) if row.strip() and row != HEADER}
    return [_line(row, f"{where}, line {number}") for row, number in numbered.items()]


def _line(row: str, where: str) -> Line:
    if row.startswith(CONFLICT):
        raise UserError(f"{where} is a conflict marker of Git: keep the lines of both sides, and delete its markers")
    *cells, check = row.split(",")
    if len(cells) != len(COLUMNS):
        raise UserError(f"{where} should have {len(COLUMNS) + 1} columns, not {len(cells) + 1}: {HEADER}")
    if check != short(",".join(cells), 8):
        raise UserError(f"{where} is not as it was written: the hash at its end is of other words")
    read = parse(dict(zip(COLUMNS, cells, strict=True)), Line, where)
    names = [name for name, _ in _named(read.results)]
    others = [] if read.outcome == SAME else _named(read.outcome)
    if len(set(names)) < len(names) or len(dict(others)) < len(others):
        raise UserError(f"{where} names a result twice")
    if not dict(others).keys() <= read.claimed.keys():
        raise UserError(f"{where} says that results came out otherwise which it does not say were verified")
    if set(others) & read.claimed.items():
        raise UserError(f"{where} says that a result came out otherwise, with the hash that it should have")
    return read


def read() -> list[Line]:
    """Return the lines of the ledger here, none where there is no such file. Raises UserError if it is damaged."""
    text = _text()
    rows = text.removeprefix(MARK).split("\n")
    if text and rows[0].rstrip("\r") != HEADER and not rows[0].startswith(CONFLICT):
        raise UserError(f"{LEDGER} has lost its header: its first line should be {HEADER}")
    if 0 < text.count("\r\n") < text.count("\n"):
        number = next(i for i, row in enumerate(rows, 1) if row.endswith("\r") != rows[0].endswith("\r"))
        raise UserError(
            f"{LEDGER}, line {number} ends otherwise than those before: all should end in LF or all in CRLF"
        )
    return lines_in(text, str(LEDGER))


def require_open() -> None:
    """Raise UserError if the ledger here is damaged, or is not to be written, before what will be recorded is done."""
    read()
    _require_writable()


def append(lines: Sequence[Line]) -> None:
    """Write lines at the end, in one step: whoever is killed leaves the file as it was, and two wait for each other."""
    with alone(LOCK, str(LEDGER), PATIENCE):
        _write(lines)


def add(lines: Sequence[Line]) -> int:
    """Append those lines that are not there yet, and return how many these are; nobody else writes meanwhile."""
    with alone(LOCK, str(LEDGER), PATIENCE):
        there = set(map(text_of, read()))
        new = [line for line in lines if text_of(line) not in there]
        if new:
            _write(new)
        return len(new)


def _write(lines: Sequence[Line]) -> None:
    """Write lines at the end, which end as the others do; the file keeps its mode."""
    _require_writable()
    there = _text() or f"{HEADER}\n"
    end = "\r\n" if there.endswith("\r\n") else "\n"
    with whole(LEDGER) as scratch:
        text = "".join([there, "" if there.endswith("\n") else end, *(f"{text_of(line)}{end}" for line in lines)])
        scratch.write_bytes(text.encode())
        if LEDGER.exists():
            shutil.copymode(LEDGER, scratch)


def _require_writable() -> None:
    """Raise UserError if the ledger is read-only: who replaces a file, or is root, would not be told."""
    if LEDGER.exists() and not LEDGER.stat().st_mode & 0o222:
        raise UserError(f"{LEDGER} is read-only: after `chmod u+w {LEDGER}` it takes lines")


def _text() -> str:
    try:
        return LEDGER.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise UserError(f"{LEDGER} is no text: `git checkout {LEDGER}` brings the committed one back") from None


# ----------------------------------------------------------------------------------------------------- what is recorded


def results(lock: Lock) -> Hashes:
    """Return the hash of each result in the entries of a dvc.lock.

    What is made once, the report, is in none: it is renewed for reasons that are no result's.
    """
    outs: dict[str, Hashes] = {}
    for stage, entry in lock.items():
        dataset = dataset_of(stage)
        for path, out in outputs(entry).items() if dataset else ():
            for name in {dataset, _trained(Path(path)) or dataset}:
                outs.setdefault(name, {})[path] = out["md5"]
    return {name: digest(outs[name]) for name in sorted(outs)}


def _trained(path: Path) -> str:
    """Return DATASET/RUN for what each program that trains makes, model and history; "" for all else."""
    if not path.is_relative_to(paths.MODELS) or len(parts := path.relative_to(paths.MODELS).parts) != 3:
        return ""
    dataset, run, _ = parts
    return f"{dataset}/{run}" if path in (paths.model(dataset, run), paths.history(dataset, run)) else ""


def lock_here() -> Lock:
    """Return the entries of dvc.lock here, none where there is no such file. Raises UserError if it is damaged."""
    return {stage: entry.model_dump() for stage, entry in lockfile.read().items()}


def results_here() -> Hashes:
    """Return the hash that each result should have here: by dvc.lock, and the witness's."""
    return results(lock_here()) | WITNESS


def code(lock: Lock, project: Path) -> str:
    """Return a hash over the files of code, in `project`, that decide the results in the entries of a dvc.lock."""
    entries = [entry for stage, entry in lock.items() if dataset_of(stage)]
    made = {Path(path) for entry in entries for path in outputs(entry)}
    deps = {Path(dep["path"]) for entry in entries for dep in entry.get("deps", ())}
    return digest(differences.code(deps, made, project))


def digest(hashes: Hashes) -> str:
    """Return one hash for several, by the names of what they are of."""
    return short("".join(f"{name} {hashes[name]}\n" for name in sorted(hashes)), 16)


def short(text: str, digits: int) -> str:
    """Return the first digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _plain(text: str) -> str:
    """A name, as a processor or a browser gives it, without what would need quotes."""
    return " ".join(re.sub(f'[{UNSEEN},"]', " ", text).split())[:100]


def _joined(hashes: Hashes) -> str:
    return " ".join(f"{name}={value}" for name, value in hashes.items())


def _named(text: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (pair.partition("=") for pair in text.split(" "))]
