"""Commands start fast: each loads only the modules it needs, and the lists of commands show their own help texts."""

import importlib
import json
import os
import subprocess
import sys

import pytest
import typer

PROGRAMS = {
    "secagg-relay": "relay.server.commands.cli",
    "secagg-participant": "participant.commands.cli",
    "secagg-coordinator": "coordinator.commands.cli",
}
COMPUTES = {"numba", "scipy", "matplotlib", "polars", "tenseal", "sklearn", "torch", "lifelines", "pandas", "formulaic"}
SPEAKS = {"aiohttp", "tenacity", "prometheus_client"}
STORES = {"sqlalchemy", "alembic", "pyrage"}
SETTINGS = {"pydantic", "pydantic_settings"}

_RUN = """
import importlib, json, sys
try:
    importlib.import_module(sys.argv.pop(1)).main()
finally:
    sys.stderr.write("\\n" + json.dumps(sorted(sys.modules)))
"""


def loaded(program: str, words: str, folder) -> set[str]:
    """Return what a fresh process has loaded, in an empty data folder, when a command has answered or refused."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, PROGRAMS[program], *words.split()],
        env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_loads_nothing_that_it_does_not_show(program, tmp_path):
    modules = loaded(program, "--help", tmp_path)
    assert modules & (COMPUTES | SPEAKS | STORES | SETTINGS | {"numpy", "nacl", "cryptography"}) == set()
    own = {name for name in modules if name.startswith(("relay.", "participant.", "coordinator.", "secagg."))}
    assert own <= {PROGRAMS[program], *_parents(PROGRAMS[program]), "relay.service", "relay.service.command",
                   "relay.service.folders", "relay.service.system_errors",
                   "secagg.complaints", "secagg.errors"}  # fmt: skip


@pytest.mark.parametrize(
    ("program", "words", "never"),
    [
        ("secagg-participant", "status", COMPUTES | SPEAKS | STORES),
        ("secagg-participant", "runs", COMPUTES | SPEAKS | STORES),
        ("secagg-participant", "ledger", COMPUTES | SPEAKS | STORES | {"numpy"}),
        ("secagg-participant", "audit verify", COMPUTES | SPEAKS | STORES | {"numpy"}),
        ("secagg-participant", "config show", COMPUTES | SPEAKS | STORES | {"numpy"}),
        ("secagg-participant", "pause", COMPUTES | SPEAKS | STORES),
        ("secagg-participant", "results", COMPUTES | SPEAKS | STORES),
        ("secagg-participant", "policy show", COMPUTES | SPEAKS | STORES),
        ("secagg-participant", "data list", COMPUTES | SPEAKS | STORES),
        ("secagg-participant", "project list", COMPUTES | STORES),
        ("secagg-participant", "receipt list", COMPUTES | STORES),
        ("secagg-participant", "start", COMPUTES | STORES),
        ("secagg-coordinator", "runs", COMPUTES | SPEAKS | STORES | {"numpy"}),
        ("secagg-coordinator", "project show 7f4f5a0e-4a5e-4ad4-a6e1-0d4a7e6d6d55", COMPUTES | STORES),
        ("secagg-coordinator", "resume 7f4f5a0e-4a5e-4ad4-a6e1-0d4a7e6d6d55", COMPUTES | STORES),
        ("secagg-coordinator", "standby", COMPUTES | STORES),
        ("secagg-relay", "site list", COMPUTES | {"numpy", "pyrage"}),
        ("secagg-relay", "token list", COMPUTES | SPEAKS | {"numpy", "pyrage"}),
        ("secagg-relay", "admin status", COMPUTES | SPEAKS | {"numpy", "pyrage"}),
        ("secagg-relay", "tls init", COMPUTES | SPEAKS | STORES | {"pydantic_settings"}),
    ],
)
def test_a_command_loads_what_it_needs(program, words, never, tmp_path):
    assert loaded(program, words, tmp_path) & never == set()


@pytest.mark.parametrize(
    "module", [*PROGRAMS.values(), *(f"participant.commands.{group}" for group in ("config", "data", "project"))]
)  # every table
def test_lines_of_help_are_the_first_of_what_the_commands_say(module):
    group = typer.main.get_command(importlib.import_module(module).app)
    own = {name: group.get_command(None, name) for name in group.commands}
    shown = {name: (command.help, command.hidden) for name, command in group.commands.items()}
    assert shown == {name: (_first(command.help), command.hidden) for name, command in own.items()}


@pytest.mark.parametrize("program", PROGRAMS.values())
def test_help_texts_have_no_brackets_which_rich_would_take_for_markup(program):
    texts = _texts(typer.main.get_command(importlib.import_module(program).app))
    assert [text for text in texts if "[" in text] == []


def _texts(command):
    yield from filter(None, (command.help, *(getattr(one, "help", None) for one in command.params)))
    for name in getattr(command, "commands", ()):
        yield from _texts(command.get_command(None, name))


def _first(help_: str) -> str:
    return " ".join(help_.split("\n\n", maxsplit=1)[0].split())


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}
