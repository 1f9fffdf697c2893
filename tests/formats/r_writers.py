"""Writers of R: base, readr, data.table and haven, as Debian has them. One process of R writes all tables.

Numbers reach R as hexadecimal literals, so nothing is lost on the way.
"""

import json
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl


class RWriter(NamedTuple):
    """A writer of R.

    Attributes:
        call: the call that writes `table` to `path`.
        suffix: suffix of the file.
        digits: significant digits of the numbers that it writes.
    """

    call: str
    suffix: str
    digits: int = 16


WRITERS = {
    "base": RWriter("write.csv(table, path)", "csv", 15),
    "base_with_semicolons": RWriter("write.csv2(table, path, row.names = FALSE, na = '')", "csv", 15),
    "base_with_tabs": RWriter(
        "write.table(table, path, sep = '\\t', row.names = FALSE, qmethod = 'double')", "tsv", 15
    ),
    "readr": RWriter("readr::write_csv(table, path)", "csv"),
    "readr_for_excel": RWriter("readr::write_excel_csv2(table, path, na = '')", "csv", 15),
    "data_table": RWriter("data.table::fwrite(table, path)", "csv", 15),
    "haven_spss": RWriter("haven::write_sav(table, path)", "sav"),
    "haven_spss_compressed": RWriter("haven::write_sav(table, path, compress = 'zsav')", "zsav"),
    "haven_stata": RWriter("haven::write_dta(table, path)", "dta"),
    "haven_xport": RWriter("haven::write_xpt(table, path, name = 't')", "xpt"),
}
PACKAGES = ("readr", "data.table", "haven")


def is_there() -> bool:
    """Return whether R and the packages are installed."""
    wanted = ", ".join(f"requireNamespace('{one}', quietly = TRUE)" for one in PACKAGES)
    try:
        return (
            subprocess.run(["Rscript", "-e", f"stopifnot({wanted})"], capture_output=True, check=False).returncode == 0
        )
    except FileNotFoundError:
        return False


def write(tables: Mapping[str, Mapping[str, list[Any]]], folder: Path) -> dict[tuple[str, str], Path]:
    """Write each table with each writer.

    Returns:
        The file of each table and writer.
    """
    script, paths = [], {}
    for number, (name, table) in enumerate(tables.items()):
        columns = ", ".join(f"{column} = {_vector(values)}" for column, values in table.items())
        script.append(f"table <- data.frame({columns}, stringsAsFactors = FALSE)")
        for writer, one in WRITERS.items():
            paths[name, writer] = path = folder / f"{number}-{writer}.{one.suffix}"
            script.append(f"path <- {json.dumps(str(path))}; {one.call}")
    (folder / "all.R").write_text("\n".join(script), encoding="utf-8")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["Rscript", "--vanilla", folder / "all.R"], capture_output=True, check=False, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return paths


def _vector(values: list[Any]) -> str:
    kind = pl.Series(values, strict=False).dtype
    if kind == pl.Date:
        return f"as.Date(c({', '.join('NA' if one is None else repr(one.isoformat()) for one in values)}))"
    missing = {pl.String: "NA_character_", pl.Boolean: "NA"}.get(type(kind), "NA_real_")
    return f"c({', '.join(missing if one is None else _literal(one) for one in values)})"


def _literal(value: bool | float | str | date) -> str:
    match value:
        case bool():
            return str(value).upper()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return float(value).hex()
    raise AssertionError(value)
