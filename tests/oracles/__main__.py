"""Compare every analysis with its oracle, print the table and store it: python -m tests.oracles [NAME ...]."""

import argparse
import asyncio
import json
import sys
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.oracles.case import Case, all_cases

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "oracles.json"
SETTINGS = ((1, 0), (3, 0), (3, 1), (9, 0), (9, 1))  # sites, and how many of them are lost on the way
LIBRARIES = ("lifelines", "numpy", "scikit-learn", "scipy", "statsmodels")

Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracles", description="Every analysis beside its oracle.")
    parser.add_argument("names", nargs="*", help="cases whose name starts so, instead of all")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = parser.parse_args()
    warnings.simplefilter("error")
    cases = [one for one in all_cases() if one.name.startswith(tuple(options.names or [""]))]
    if not cases:
        parser.error(f"no case of that name; there are {', '.join(dict.fromkeys(one.name for one in all_cases()))}")
    progress = track(cases, "comparing", console=Console(stderr=True), transient=True)
    rows = [row for one in progress for row in asyncio.run(_rows(one))]
    document = {"oracles": {name: version(name) for name in LIBRARIES}, "rows": rows}
    RESULTS.write_text(_lines(document | {"rows": _with_kept(rows) if options.names else rows}))
    print(json.dumps(document)) if options.json else Console().print(_table(rows))
    return 0 if all(row["met"] for row in rows) else 1


async def _rows(one: Case) -> list[Row]:
    return [
        {
            "analysis": one.spec.analysis,
            "case": one.name,
            "quantity": agreement.quantity,
            "dataset": one.spec.dataset,
            "sites": sites,
            "dropped": dropped,
            "difference": float(f"{agreement.difference:.2g}"),
            "bound": agreement.bound,
            "met": agreement.difference <= agreement.bound,
            "reason": agreement.reason,
        }
        for sites, dropped in SETTINGS
        for agreement in await one.run(sites, dropped)
    ]


def _with_kept(rows: list[Row]) -> list[Row]:
    """Return these rows and the kept ones of all other cases, in the order of a whole run."""
    compared = {row["case"] for row in rows}
    kept = [row for row in json.loads(RESULTS.read_text())["rows"] if row["case"] not in compared]
    return sorted(kept + rows, key=lambda row: f"{row['case']}-{row['dataset']}")


def _lines(document: dict[str, Any]) -> str:
    """Return the document with a line for each row, so that a change of one shows as one."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in document["rows"])
    return f'{{\n "oracles": {json.dumps(document["oracles"])},\n "rows": [\n{rows}\n ]\n}}\n'


def _table(rows: Iterable[Row]) -> Table:
    """Return the worst of all settings for each case, data set and quantity."""
    table = Table(title="Analyses beside their oracles, the worst of 1, 3 and 9 sites, with and without a loss")
    for title in ("case", "data set", "quantity", "difference", "bound", "met"):
        table.add_column(title)
    worst: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row["case"], row["dataset"], row["quantity"])
        if key not in worst or not row["difference"] <= worst[key]["difference"]:
            worst[key] = row
    for key, row in worst.items():
        bound = f"{row['bound']:.0e}" + (f", {row['reason']}" if row["reason"] else "")
        table.add_row(*key, f"{row['difference']:.1e}", bound, "yes" if row["met"] else "NO")
    return table


if __name__ == "__main__":
    sys.exit(main())
