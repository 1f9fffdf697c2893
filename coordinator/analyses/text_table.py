"""Tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any


def text_table(rows: Sequence[Mapping[str, Any]], formats: Mapping[str, str]) -> list[str]:
    """Return the lines of a table: a heading, then a line for each row.

    Args:
        rows: cells by column.
        formats: the columns to show, in order, each with its format, such as ``.4f``; "" for words, which stand on the
            left.
    """
    cells = [[_cell(row[name], form) for name, form in formats.items()] for row in rows]
    headings = ["" if name == "name" else name.replace("_", " ") for name in formats]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    left = [form == "" for form in formats.values()]
    return [
        "  ".join(
            cell.ljust(width) if words else cell.rjust(width)
            for cell, width, words in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in [headings, *cells]
    ]


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)
