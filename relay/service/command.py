"""Shared by all commands: how they are found, their common options, and how they report.

A program is a table in its `cli.py`: the name of each command or group, its module and its line of help. Nothing is
imported before it is called, so that `--help` and each command load only what they need. The modules register their
commands with `Commands`, where one parameter stands for all the options that a program's commands share:

    app = Commands()

    @app.command("show")
    def show(run: RunId, common: CoordinatorOptions) -> None: ...
"""

import inspect
import json
import sqlite3
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from relay.service import system_errors
from relay.service.folders import private_umask
from secagg import __version__, complaints
from secagg.errors import SecaggError

F = TypeVar("F", bound=Callable[..., Any])

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]


class Subcommand(NamedTuple):
    """The module of a command or group, and its line in the program's help: the first line of its own help."""

    module: str
    help: str
    hidden: bool = False


class _LazyGroup(TyperGroup):
    """A group that knows its commands from a table and imports only the one that is called."""

    package: ClassVar[str]
    table: ClassVar[Mapping[str, Subcommand]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {
            name: TyperCommand(name, help=entry.help, hidden=entry.hidden) for name, entry in self.table.items()
        }

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command itself, or None if there is none of that name."""
        del ctx
        if cmd_name not in self.table:
            return None
        group = get_group(import_module(f"{self.package}.{self.table[cmd_name].module}").app)
        return group if group.name == cmd_name else group.commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the table: a plain group of commands with nothing but their help."""
        outline = TyperGroup(name=self.name, commands=dict(self.commands), params=self.params, help=self.help)
        outline.format_help(ctx, formatter)


def lazy_group(name: str, help_: str | None, package: str, table: Mapping[str, Subcommand]) -> typer.Typer:
    """Return a program, or a group within one, whose commands are imported from a package's modules when called."""
    group = type("_Listed", (_LazyGroup,), {"package": package, "table": table})
    app = typer.Typer(
        name=name,
        cls=group,
        help=help_,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},  # commands inherit it
    )
    app.callback()(_program if name.startswith("secagg-") else _group)  # a callback makes it a group
    return app


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def _group() -> None:
    pass


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """Options of every command. A program's own subclass describes its folder and reads its settings."""

    data: Annotated[Path | None, typer.Option("--data", help="folder in which the program keeps its data")] = None
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with settings")] = None
    as_json: AsJson = False

    def report(self, facts: dict[str, Any], words: str) -> None:
        """Print the command's result on stdout: one JSON object, or words for people."""
        report(facts, words, as_json=self.as_json)


class Commands(typer.Typer):
    """Registers commands. A parameter annotated with `CommonOptions` is filled from the options of that name."""

    def command(self, *args: Any, **settings: Any) -> Callable[[F], F]:
        register = super().command(*args, **settings)

        def registered(function: F) -> F:
            register(_with_options(function))
            return function

        return registered


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the fields of its common options as additional parameters, which Typer reads."""
    signature = inspect.signature(function, eval_str=True)
    common = [one for one in signature.parameters.values() if is_dataclass(one.annotation)]
    if not common:
        return function
    (bundle,) = common
    hints = get_type_hints(bundle.annotation, include_extras=True)
    options = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in fields(bundle.annotation)
    ]
    own = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in signature.parameters.values() if one is not bundle
    ]

    @wraps(function)
    def command(**given: Any) -> Any:
        shared = {option.name: given.pop(option.name) for option in options}
        return function(**given, **{bundle.name: bundle.annotation(**shared)})

    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in [*own, *options]}
    return command


def run(app: Callable[[], Any], name: str) -> None:
    """Run a command line; an error prints one line on stderr and exits with code 1."""
    private_umask()
    try:
        app()
    except SecaggError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"{name}: {system_errors.in_words(error)}\n")
        sys.exit(1)
    except ValueError as error:  # a value that no message of the wire may hold, such as a name of 200 characters
        problems = getattr(error, "errors", None)
        if problems is None:
            raise
        said = (complaints.in_words(".".join(map(str, one["loc"])), one) for one in problems(include_input=False))
        sys.stderr.write(f"{name}: {'; '.join(said)}\n")
        sys.exit(1)
    except sqlite3.OperationalError as error:  # the disk is full or fails, or another process keeps the database
        sys.stderr.write(f"{name}: the database cannot be used: {error}\n")
        sys.exit(1)


def report(facts: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Print a command's result on stdout: one JSON object, or text for people."""
    sys.stdout.write((json.dumps(facts) if as_json else words) + "\n")
