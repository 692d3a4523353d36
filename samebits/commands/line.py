"""The command line `samebits`: the commands in groups, each loaded only when it is asked for.

Loading all to list them would take seconds, most of them torch's and MLflow's: what a list says of a command is read
from its source.
"""

import ast
import functools
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from samebits.base.command_line import guarded, require_project

GROUPS = {
    "Look and try": ("demo", "check", "declare"),
    "Ask a trained model": ("predict", "serve"),
    "Compare runs": ("ui", "publish", "promote"),
    "Guard results": ("gate", "reference"),
    "Prove results": ("verify", "claims", "machines"),
}
ANYWHERE = ("predict", "serve")  # a model in a file needs no project


class Commands(TyperGroup):
    """The commands, by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all, as they are grouped."""
        return [name for names in GROUPS.values() for name in names]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return what a list says of a command."""
        group = next((group for group, names in GROUPS.items() if cmd_name in names), None)
        return TyperCommand(cmd_name, help=_summary(cmd_name), rich_help_panel=group) if group else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command itself."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _loaded(name) if command and name else command, rest


def _summary(name: str) -> str:
    """The docstring of a command's `main`."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_bytes())
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    return ast.get_docstring(main) or ""


def _loaded(name: str) -> Any:
    module = importlib.import_module(f"samebits.commands.{name}")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(guarded(module.main if name in ANYWHERE else _in_project(module.main)))
    return typer.main.get_command(app)


def _in_project(main: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(main)
    def checked(*args: object, **options: object) -> None:
        require_project()
        main(*args, **options)

    return checked


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments, or those of this process, ask for."""
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False, no_args_is_help=True)

    @app.callback()
    def samebits() -> None:
        """Softmax classification whose results are the same bits everywhere."""

    app(arguments, prog_name="samebits")
