"""YAML files read within limits: whatever is in one, a user gets its values or one sentence, and soon."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from samebits.base import paths
from samebits.base.errors import UserError

LARGEST = 10 * 2**20  # bytes: dvc.lock of a thousand datasets
DEEPEST = 50  # of keys in keys
MOST = 10**6  # values, each counted as often as an alias repeats it
MERGE = "tag:yaml.org,2002:merge"  # of <<, which is no value
LONGEST = 1000  # digits of a number


class ConflictError(UserError):
    """A file holds a conflict of a merge, which people must settle."""


class RefusedError(ValueError):
    """What YAML allows, but no file of this project needs: a place, and what is wrong there."""


def read_yaml(path: Path) -> Any:
    """Read a YAML 1.2 file as DVC does (so that 1e-3 is a number).

    Raises ConflictError for a conflict that Git left in it, UserError for all else that cannot be read.
    """
    text = _text(path)
    yaml = YAML(typ="safe", pure=True)
    try:
        constructor, _ = yaml.get_constructor_parser(text)
        node = constructor.composer.get_single_node()
        if node is None:
            return None
        _require_small(node)
        _require_values(constructor, node)
        return constructor.construct_document(node)
    except DuplicateKeyError as error:
        key = re.sub(r"found duplicate key (\S+) .*", r"\1", str(error.problem), flags=re.DOTALL)
        raise UserError(
            f"{path}, {_place(error.problem_mark)}: the key {key[:200]} is there twice: leave one"
        ) from None
    except MarkedYAMLError as error:
        where = f"{_place(error.problem_mark)}: " if error.problem_mark else ""
        raise UserError(f"{path} is not valid YAML: {where}{error.problem or error.context}") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply: at most {DEEPEST} deep is read") from None
    except RefusedError as error:
        raise UserError(f"{path}, {error}") from None
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is not valid YAML: {reason[:200]}") from None


def _text(path: Path) -> str:
    """The file as text. Raises UserError if it is not there, too large, no text, or two versions of one."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        here = not path.is_absolute() and paths.PIPELINE.is_file()
        remedy = f"`git restore {path}` brings it back" if here else f"run from the folder that holds {paths.PIPELINE}"
        raise UserError(f"{path} is missing: {remedy}") from None
    if len(data) > LARGEST:
        raise UserError(f"{path} has more than {LARGEST:,} bytes: that is no file of a project")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path} is not valid YAML: line {line}: it is not text in UTF-8") from None
    _require_merged(path, text.splitlines())
    return text


def _require_merged(path: Path, lines: list[str]) -> None:
    """Raise ConflictError naming the conflicts that a merge of Git's left in a file."""
    begins = [number for number, line in enumerate(lines, 1) if re.match(r"<{7}( |$)", line)]
    ends = [number for number, line in enumerate(lines, 1) if re.match(r">{7}( |$)", line)]
    if not begins and not ends:
        return
    places = ", ".join(f"{a} to {b}" for a, b in zip(begins, ends, strict=False)) or str((begins + ends)[0])
    if path.name == paths.LOCK.name:
        way = f"take either side (`git checkout --ours {path}`, or --theirs), and `make repro` makes it true"
    else:
        way = "keep one side of each, without the lines that begin with <<<<<<<, |||||||, ======= and >>>>>>>"
    raise ConflictError(f"{path} holds a conflict of a merge, lines {places}: {way}")


def _require_small(top: Node) -> None:
    """Raise RefusedError for what is too deep, what holds itself, or what aliases make too large."""
    sizes: dict[int, int] = {}

    def size(node: Node, depth: int) -> int:
        if depth > DEEPEST:
            raise RefusedError(f"{_place(node.start_mark)}: it is nested too deeply: at most {DEEPEST} deep is read")
        if id(node) in sizes:
            if not sizes[id(node)]:
                raise RefusedError(f"{_place(node.start_mark)}: it holds itself, by an alias")
            return sizes[id(node)]
        sizes[id(node)] = 0  # until all that it holds is counted
        sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in _children(node))
        return sizes[id(node)]

    if size(top, 1) > MOST:
        raise RefusedError(f"{_place(top.start_mark)}: its aliases make more than {MOST:,} values of it")


def _require_values(constructor: Any, top: Node) -> None:
    """Raise RefusedError naming the line of a value that is none: a date that no calendar has, endless digits."""
    seen: set[int] = set()
    waiting = [top]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting += _children(node)
        if isinstance(node, ScalarNode) and node.tag != MERGE:
            shown = node.value if len(node.value) <= 50 else f"{node.value[:50]}..."
            try:
                value = constructor.construct_object(node)
            except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
                reason = " ".join(str(error).split())[:200]
                raise RefusedError(f"{_place(node.start_mark)}: {shown} is no value of its kind ({reason})") from None
            if isinstance(value, int) and value.bit_length() > 3.33 * LONGEST:
                raise RefusedError(f"{_place(node.start_mark)}: {shown} has more than {LONGEST:,} digits")


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, CollectionNode):
        yield from node.value


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
