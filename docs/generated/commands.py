"""The commands of a program, from the program."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer.main

from generated.markdown import code, one_line, table


def page(name: str, module: str) -> str:
    """Return the page of a program's commands.

    Args:
        name: name of the program, without `secagg-`.
        module: the module that holds its `app`.
    """
    program = f"secagg-{name}"
    root = typer.main.get_command(import_module(module).app)
    head = [f"# {program}", "", one_line(root.help), "", "Every command also has `--help`, which prints the same."]
    return "\n".join([*head, "", *_commands(root, program)])


def _commands(group: Any, name: str) -> Iterator[str]:
    context = group.make_context(name, [], resilient_parsing=True)
    for word in sorted(group.list_commands(context)):
        command = group.get_command(context, word)
        if hasattr(command, "list_commands"):
            yield from _commands(command, f"{name} {word}")
        elif not command.hidden:
            yield from _command(command, f"{name} {word}")


def _command(command: Any, name: str) -> list[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    records = filter(None, (one.get_help_record(context) for one in command.get_params(context)))
    rows = [(code(what), one_line(text)) for what, text in records if what != "--help"]
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    paragraphs = [one_line(paragraph) for paragraph in (command.help or "").split("\n\n")]
    words = [line for paragraph in paragraphs for line in (paragraph, "")]
    return [f"## {name}", "", *words, f"    {usage}", "", *table(("argument or option", "meaning"), rows)]
