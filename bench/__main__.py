"""`python -m bench NAME [--json] [--keep]`: measure, and print a table or, with --json, one JSON object."""

import json
from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import history
from bench.machine import describe
from bench.measure import Row
from secagg.errors import ParameterError

NAMES = (
    "kernels",
    "start",
    "round",
    "growth",
    "memory",
    "relayed",
    "relay",
    "peers",
    "server",
    "sparse",
    "slow",
    "he",
    "ingest",
    "analyses",
    "replay",
)


def main(
    name: Annotated[str, typer.Argument(help=f"one of: {', '.join(NAMES)}")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")] = False,
    kept: Annotated[bool, typer.Option("--keep", help="append the result to the history in bench/results/")] = False,
) -> None:
    """Measure one thing on this machine."""
    if name not in NAMES:
        raise ParameterError(f"there is no measurement {name!r}; known are {', '.join(NAMES)}")
    rows: list[Row] = import_module(f"bench.{name}").rows()
    machine = describe()
    if kept:
        history.keep(name, machine, rows)
    if as_json:
        print(json.dumps({"machine": machine, "rows": [row.as_facts() for row in rows]}))
        return
    table = Table(title=f"{name} on {machine['processor']} ({', '.join(machine['features'])})")
    for title in ("what", "to reach", "measured", "met"):
        table.add_column(title)
    for row in rows:
        table.add_row(row.name, row.target, row.measured, {True: "yes", False: "no", None: ""}[row.met])
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
