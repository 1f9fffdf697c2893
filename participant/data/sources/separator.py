"""Finds the character that separates the cells of a text file: the one on which all lines agree."""

import csv
import re

from participant.data.model.errors import SourceError

CANDIDATES = ",;\t|"
_LINES = 20_000
_VALUE = re.compile(
    r"(?:[+-]?[0-9][0-9.,' ]*(?:[eE][+-]?[0-9]+)?(?:\s*[A-Za-z%°µ/]{1,8})?"
    r"|[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}(?:[ T][0-9:.]+)?)?"
)


def find_separator(header: str, lines: list[str]) -> str:
    """Return the separator of a table.

    A separator is possible if it occurs in the header. Of several, the one that gives most lines as many cells as the
    header is chosen; on a tie, the one that yields more numbers and dates, since a cell with another separator in it is
    neither.

    Args:
        header: the first line.
        lines: some of the lines after it.

    Raises:
        SourceError: two separators are equally good.
    """
    counts = {one: outside_quotes(header).count(one) for one in CANDIDATES}
    possible = [one for one in CANDIDATES if counts[one]] or list(CANDIDATES)
    filled = [line for line in lines[:_LINES] if line.strip()]
    if len(possible) == 1 or not filled:
        return max(possible, key=counts.__getitem__)
    bare = [outside_quotes(line) for line in filled]
    agreeing = {one: sum(line.count(one) == counts[one] for line in bare) for one in possible}
    best = [one for one in possible if agreeing[one] == max(agreeing.values())]
    if len(best) == 1:
        return best[0]
    if not any(counts.values()):
        return best[0]  # a table of one column
    values = {one: _values(filled[:1000], one) for one in best}
    best = [one for one in best if values[one] == max(values.values())]
    if len(best) > 1:
        shown = " and ".join("tab" if one == "\t" else one for one in best)
        raise SourceError(
            f"the cells can be separated by {shown}, and all lines agree with each: say which with --separator"
        )
    return best[0]


def outside_quotes(line: str) -> str:
    """Return a line without the text between quotation marks."""
    return "".join(line.split('"')[::2])


def _values(lines: list[str], separator: str) -> float:
    """Return the share of cells that are numbers, dates or empty."""
    cells = [cell for row in csv.reader(lines, delimiter=separator) for cell in row]
    return sum(_VALUE.fullmatch(cell.strip()) is not None for cell in cells) / max(1, len(cells))
