"""A reader of source code that finds what is not on the list of proven operations; `python -m tests.exact.reader PATH`.

No types are inferred, so the reader goes by names. Whatever is reached through torch, numpy, math or numba must be on
the list by its full name; whatever is reached through anything else, `x.name`, must be on it as soon as a tensor or an
array has an attribute of that name, whether it is called or passed on. What the project defines itself is no operation:
it is read where it is defined.
"""

import ast
import builtins
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.exact import operations

EVERYWHERE = {"torch", "numpy", "math"}
LIBRARIES = EVERYWHERE | {"numba"}  # that one in the room of its own
METHODS = {name for kind in (torch.Tensor, np.ndarray) for name in dir(kind)}
SYMBOLS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.USub: "negative", ast.UAdd: "positive", ast.Invert: "~",
}  # fmt: skip
BY_A_NUMBER = "division by a number: a GPU multiplies by its rounded reciprocal; divide by a tensor"
Found = Iterator[tuple[int, str]]  # line, what is wrong there


@dataclass(frozen=True)
class Allowed:
    """What a source may use: names in full or as attributes, keywords, modules, Python's own functions."""

    names: frozenset[str]
    keywords: frozenset[str]
    modules: frozenset[str]
    builtins: frozenset[str]

    def beside(self, names: set[str], *others: set[str]) -> "Allowed":
        """And more names, keywords, modules, functions."""
        more = [names, *others, set(), set(), set()]
        return Allowed(self.names | more[0], self.keywords | more[1], self.modules | more[2], self.builtins | more[3])


ALLOWED = Allowed(
    frozenset(operations.NAMES), frozenset(operations.KEYWORDS),
    frozenset(EVERYWHERE | operations.PROJECT | operations.MODULES), frozenset(operations.BUILTINS),
)  # fmt: skip


def allowed(file: Path) -> Allowed:
    """More in the room where integers are trained on, and a type's name where the two arithmetics part."""
    if file.parts[-3:-1] == ("exact", "integers"):
        return ALLOWED.beside(
            operations.ROOM, operations.ROOM_KEYWORDS, operations.ROOM_MODULES, operations.ROOM_BUILTINS
        )
    return ALLOWED.beside(operations.PARTED if file.parts[-2] == "exact" and file.name in operations.PARTING else set())


def unproven(path: Path) -> list[str]:
    """`file:line: what` for everything in a Python file, or in those of a folder, that is not on the list."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [f"{file.name}:{line}: {what}" for file in files for line, what in read(file.read_text(), allowed(file))]


def read(source: str, may: Allowed = ALLOWED) -> list[tuple[int, str]]:
    """(line, what) for everything in a source text that is not on the list, and what to use."""
    tree = ast.parse(source)
    names = Names(tree, may)
    return sorted({finding for node in ast.walk(tree) for finding in _look(node, names)})


class Names:
    """What the names of a module stand for."""

    def __init__(self, tree: ast.AST, may: Allowed) -> None:
        self.may = may
        self.libraries: dict[str, tuple[str, ...]] = {}  # name: the libraries' full names that it may stand for
        self.own: set[str] = {"self", "cls", "ctx", "ops"}  # hold what the project defines; `ops` is an arithmetic
        self.bare: set[str] = set()  # defined in this module or imported from the project
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    full = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._library(alias.asname or full, full)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self._imported(node, alias)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.bare.add(node.name)
        for node in ast.walk(tree):
            for name, value in _bindings(node):
                if ways := self._ways(value):  # library = torch if ... else np
                    self.libraries[name] = ways

    def _ways(self, value: ast.AST) -> tuple[str, ...]:
        """The full names that a name bound to `value` may stand for."""
        if isinstance(value, ast.IfExp):
            return self._ways(value.body) + self._ways(value.orelse)
        return self.full(value)

    def _library(self, name: str, full: str) -> None:
        if full.partition(".")[0] in LIBRARIES:
            self.libraries[name] = (full,)
        else:
            self.own.add(name)  # a module that is allowed as a whole, json say

    def _imported(self, node: ast.ImportFrom, alias: ast.alias) -> None:
        name, module = alias.asname or alias.name, node.module or ""
        if node.level or module.partition(".")[0] in operations.PROJECT:
            self.own.add(name)
            self.bare.add(name)
        else:
            self._library(name, f"{module}.{alias.name}")

    def full(self, node: ast.AST) -> tuple[str, ...]:
        """Return the full names that an expression, nn.functional say, may stand for; () if nothing of a library."""
        if isinstance(node, ast.Name):
            return self.libraries.get(node.id, ())
        if isinstance(node, ast.Attribute):
            return tuple(f"{name}.{node.attr}" for name in self.full(node.value))
        return ()

    def holds_own(self, node: ast.AST) -> bool:
        """Whether an attribute of `node` is the project's: self.weight, F.linear, self.ops.exp."""
        if isinstance(node, ast.Attribute):
            return node.attr in self.own and self.holds_own(node.value)
        return isinstance(node, ast.Name) and node.id in self.own


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """(name, value) where a node gives a value a name: y = x, y: T = x, a, b = x, y, (y := x), def f(y=x)."""
    pairs: list[tuple[ast.AST, ast.AST]] = []
    if isinstance(node, ast.Assign):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value:
        pairs = [(node.target, node.value)]
    elif isinstance(node, ast.arguments):
        places = [*node.posonlyargs, *node.args]
        defaults = [*zip(places[len(places) - len(node.defaults) :], node.defaults, strict=True)]
        defaults += [(key, value) for key, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value]
        yield from ((argument.arg, value) for argument, value in defaults)
    for target, value in pairs:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            yield from ((t.id, v) for t, v in zip(target.elts, value.elts, strict=False) if isinstance(t, ast.Name))
        elif isinstance(target, ast.Name):
            yield target.id, value


def _look(node: ast.AST, names: Names) -> Found:
    """Hold one node against the list."""
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.Attribute):
        yield from ((line, what) for what in _attribute(node, names))
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from ((line, what) for alias in node.names for what in _import(node.module or "", alias.name, names.may))
    elif isinstance(node, ast.Import):
        yield from ((line, what) for alias in node.names for what in _module(alias.name, names.may))
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.UnaryOp):
        yield from ((line, what) for what in _operator(node, names.may))
    elif isinstance(node, ast.Call):
        yield from ((line, what) for what in _call(node, names))


def _attribute(node: ast.Attribute, names: Names) -> Iterator[str]:
    full = names.full(node)
    yield from (_refusal(name) for name in full if not _listed(name, names.may))
    name = f".{node.attr}"
    if not full and node.attr in METHODS and name not in names.may.names and not names.holds_own(node.value):
        yield _refusal(name)


def _listed(name: str, may: Allowed) -> bool:
    """Whether a full name is on the list, or is a module of what is, as torch.nn."""
    return name in may.names or any(known.startswith(f"{name}.") for known in may.names)


def _import(module: str, name: str, may: Allowed) -> Iterator[str]:
    if module.partition(".")[0] in LIBRARIES:
        if not _listed(f"{module}.{name}", may):
            yield _refusal(f"{module}.{name}")
    else:
        yield from _module(module, may)


def _module(name: str, may: Allowed) -> Iterator[str]:
    if name.partition(".")[0] not in may.modules:
        yield f"import of {name}: not on the list of modules"


def _operator(node: ast.BinOp | ast.AugAssign | ast.UnaryOp, may: Allowed) -> Iterator[str]:
    symbol = SYMBOLS.get(type(node.op))  # `not` has none, and computes nothing
    left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (None, getattr(node, "value", None))
    if symbol == "**":
        if not (isinstance(left, ast.Constant) and left.value in (2, 10)):  # of 2 it is exact, and of 10 in integers
            yield _refusal(symbol)
    elif symbol and symbol not in may.names:
        yield _refusal(symbol)
    elif symbol == "/" and _number(right) and not _number(left):
        yield BY_A_NUMBER


def _call(node: ast.Call, names: Names) -> Iterator[str]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in dir(builtins):
        if function.id not in names.bare | names.may.builtins:
            yield _refusal(f"{function.id}()")
        return
    if not isinstance(function, ast.Attribute | ast.Name):
        return
    library, name = bool(names.full(function)), getattr(function, "attr", None) or ast.unparse(function)
    if not library and (isinstance(function, ast.Name) or name not in METHODS or names.holds_own(function.value)):
        return
    for keyword in node.keywords:
        if keyword.arg not in names.may.keywords:
            yield f"{keyword.arg}= of {name}: not on the list of keywords"
    if name in ("div", "div_") and any(_number(argument) for argument in node.args):
        yield BY_A_NUMBER


def _number(node: ast.expr | None) -> bool:
    """Whether an expression is a literal number, perhaps signed or combined."""
    if isinstance(node, ast.BinOp):
        return _number(node.left) and _number(node.right)
    if isinstance(node, ast.UnaryOp):
        return _number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _refusal(name: str) -> str:
    """What is wrong with a name, and what to use."""
    plain = name if name in operations.INSTEAD else name.rpartition(".")[2].rstrip("_")
    advice = operations.INSTEAD.get(plain, "what is on it, or prove this one: tests/exact/operations.py says how")
    return f"{name}: not on the list of proven operations; use {advice}"


if __name__ == "__main__":
    lines = [line for name in sys.argv[1:] for line in unproven(Path(name))]
    print("\n".join(lines))
    sys.exit(bool(lines))
