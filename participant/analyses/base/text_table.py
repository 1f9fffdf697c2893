"""Tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

_HEADINGS = {"name": "", "se": "std err", "lower": "[0.025", "upper": "0.975]"}  # as in statsmodels


def text_table(rows: Sequence[Mapping[str, Any]], formats: Mapping[str, str]) -> list[str]:
    """Return the lines of a table: a heading, then one for each row.

    Args:
        rows: cells by column.
        formats: columns to show, in order, each with its format, for example ``.4f``; "" for text, which is aligned
            left.
    """
    cells = [[cell(row[name], form) for name, form in formats.items()] for row in rows]
    headings = [heading(name) for name in formats]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    left = [form == "" for form in formats.values()]
    return [
        "  ".join(
            text.ljust(width) if words else text.rjust(width)
            for text, width, words in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in [headings, *cells]
    ]


def heading(name: str) -> str:
    """Return the heading of a column."""
    return _HEADINGS.get(name, name.replace("_", " "))


def cell(value: Any, form: str) -> str:
    """Return a cell's text; a dash if there is no value."""
    return "-" if value is None else format(value, form)
