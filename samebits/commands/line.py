"""The command line `samebits`: the commands in groups, each loaded only when it is asked for.

Loading all to list them would take seconds, most of them torch's and MLflow's: what a list says of a command is read
from its source.
"""

import ast
import functools
import importlib
import sys
import tomllib
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from samebits.base.address import discreet
from samebits.base.command_line import guarded, require_project
from samebits.base.patience import leave
from samebits.base.source import ROOT

GROUPS = {
    "Look and try": ("demo", "repro", "check", "declare"),
    "Ask a trained model": ("predict", "serve"),
    "Keep what was trained": ("store",),
    "Compare runs": ("ui", "publish", "promote"),
    "Guard results": ("gate", "reference"),
    "Prove results": ("verify", "audit", "page", "claims", "machines", "ledger", "sign"),
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


class Command(TyperCommand):
    """A command to which an empty text is no answer: as a path it would be this folder, as a name anything."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an argument or an option that is there and empty."""
        given = self.make_parser(ctx).parse_args(list(args))[0]
        parameter: Any  # typer has a class of its own for it
        for parameter in self.params:
            value = given.get(parameter.name)
            if "" in (value if isinstance(value, list | tuple) else [value]) and not ctx.resilient_parsing:
                raise typer.BadParameter("it is empty", ctx, parameter)
        return super().parse_args(ctx, args)


def _loaded(name: str) -> Any:
    module = importlib.import_module(f"samebits.commands.{name}")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, cls=Command)(guarded(module.main if name in ANYWHERE else _in_project(module.main)))
    return typer.main.get_command(app)


def _in_project(main: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(main)
    def checked(*args: object, **options: object) -> None:
        require_project()
        main(*args, **options)

    return checked


def _tell_version(asked: bool) -> None:
    """A checkout, which nobody installs, says it in pyproject.toml."""
    if asked:
        project = ROOT / "pyproject.toml"
        inside = tomllib.loads(project.read_text(encoding="utf-8")) if project.is_file() else {}
        print(f"samebits {inside['project']['version'] if inside else metadata.version('samebits')}")
        raise typer.Exit


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments, or those of this process, ask for."""
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False, no_args_is_help=True)

    @app.callback()
    def samebits(
        version: Annotated[
            bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say the version and end.")
        ] = False,
    ) -> None:
        """Softmax classification whose results are the same bits everywhere."""

    try:
        app(arguments, prog_name="samebits")
    except SystemExit as end:
        leave(end.code)
        raise
    except ModuleNotFoundError:  # which `main` says in a sentence
        raise
    except Exception:  # a mistake of ours, or a library's: all is told but what nobody may read
        print(discreet(traceback.format_exc()), end="", file=sys.stderr)
        leave(1)
        raise SystemExit(1) from None
