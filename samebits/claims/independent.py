"""verify.html: the independent program of site/, joined into one page with what it is to be held against."""

import base64
import graphlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from samebits.base import dvc, lockfile, paths
from samebits.base.files import sha256
from samebits.base.source import ROOT
from samebits.claims import ledger, tally
from samebits.datasets import bundled

SITE = ROOT / "site"
DATASETS = ("digits", "fashion_mnist", "mnist")  # of which digits come with the page
IMPORT = re.compile(r'^import .* from "\./(\w+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=const|function)", re.MULTILINE)
LARGEST = 100_000  # bytes of a committed file that goes into the page: not the network's model, of 6 MB
HISTORY = "history.csv"


Kept = dict[str, dict[str, str]]  # "digits RUN" -> history (text) and model (base64)


def page(kept: Kept) -> str:
    """Return the page, with the ledger and the committed files that are to be had.

    Raises UserError if dvc.lock or the ledger is damaged.
    """
    stages = lockfile.read()
    content = {
        "lock": paths.LOCK.read_text(encoding="utf-8"),
        "datasets": [name for name in DATASETS if f"download@{name}" in stages],
        "files": {name: _encoded(data) for name, data in bundled.digits().items()},
        "committed": kept,
        "program": program(),
    }
    parts = {
        "page.css": _read("page.css"),
        "content": json.dumps(content).replace("</", "<\\/"),
        "worker": joined("worker"),
        "page": _read("page.js"),
        "ledger": tally.html(tally.tally(ledger.read(), ledger.results_here())),
    }
    return filled(_read("page.html"), parts)


def program() -> str:
    """Return the hash by which the ledger knows the JavaScript: over all its files."""
    return ledger.digest({path.name: sha256(path) for path in SITE.glob("*.js")})


def filled(template: str, parts: Mapping[str, str]) -> str:
    """Put each part at its place {{NAME}}."""
    return re.sub(r"\{\{([\w.]+)\}\}", lambda match: parts[match[1]].rstrip("\n"), template)


def joined(module: str) -> str:
    """Return a module of site/ behind all that it imports, as one script without imports and exports."""
    pieces = ['"use strict";\n']
    for name in ordered(module):
        text = EXPORT.sub("", IMPORT.sub("", _read(f"{name}.js"))).strip()
        pieces.append(f"// {f' {name}.js':->116}\n\n{text}\n")
    return "\n".join(pieces)


def ordered(module: str) -> list[str]:
    """Name a module and all that it imports, each behind those that it imports itself."""
    graph: dict[str, list[str]] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        graph[name] = IMPORT.findall(_read(f"{name}.js"))
        waiting += [other for other in graph[name] if other not in graph]
    return list(graphlib.TopologicalSorter(graph).static_order())


def _read(name: str) -> str:
    return (SITE / name).read_text(encoding="utf-8")


def committed() -> Kept:
    """Return what dvc.lock names of digits' models and histories, as far as it is here or in DVC's cache."""
    kept: Kept = {}
    cache = dvc.cache()
    for output in _outputs():
        _, dataset, run, name = Path(output.path).parts
        places = (Path(output.path), cache / dvc.address(output.md5))
        here = next((path for path in places if path.is_file() and dvc.md5(path) == output.md5), None)
        if here and output.size <= LARGEST:
            text = here.read_text(encoding="utf-8") if name == HISTORY else _encoded(here.read_bytes())
            kept.setdefault(f"{dataset} {run}", {})["history" if name == HISTORY else "model"] = text
    return kept


def missing(kept: Kept) -> list[str]:
    """Name the histories that are not among what is kept."""
    paths = [output.path for output in _outputs() if output.path.endswith(HISTORY)]
    return [path for path in paths if "history" not in kept.get(" ".join(Path(path).parts[1:3]), {})]


def _outputs() -> list[lockfile.Output]:
    outputs = [output for outputs in lockfile.outputs(["digits"]).values() for output in outputs]
    known = {paths.model("digits", run).parent for run in paths.RUNS}  # the program knows no networks of one's own
    return [output for output in outputs if Path(output.path).parent in known]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
