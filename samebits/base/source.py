"""The source files that a module needs from this project, so that a model can take them along and nothing else."""

import ast
import shutil
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent  # the folder that holds samebits/ and, in a checkout, stages/
PACKAGES = ("samebits", "stages")


def copy(module: str, folder: Path) -> None:
    """Copy `module` and all that it imports of this project, in packages as they are, into `folder`."""
    for file in files(module):
        copied = folder / file.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)


def files(module: str, without: Collection[str] = (), here: Path = ROOT) -> list[Path]:
    """Return the files of `module` and of what it imports of this project, directly or not.

    A string that is a module's name counts as an import, for it is what importlib is given. Modules in `without` are
    left out, and what they alone import. `here` is the folder that holds the packages.
    """
    found: dict[Path, None] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in without and (file := _file(name, here)) and file not in found:
            found[file] = None
            waiting += [_parent(name), *imported(ast.parse(file.read_bytes()), _package(name, file))]
    return sorted(found)


def imported(tree: ast.Module, package: str) -> list[str]:
    """Return what may be modules among the names in a module's imports and its strings; `package` is what it is in."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]  # which may be modules too
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.append(node.value)
    return names


def _file(name: str, here: Path) -> Path | None:
    """The file of a module, if this project has it."""
    if name.partition(".")[0] not in PACKAGES or not name.replace(".", "").isidentifier():
        return None
    path = here / name.replace(".", "/")
    return next((file for file in (path / "__init__.py", path.with_name(f"{path.name}.py")) if file.is_file()), None)


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _package(name: str, file: Path) -> str:
    return name if file.name == "__init__.py" else _parent(name)
