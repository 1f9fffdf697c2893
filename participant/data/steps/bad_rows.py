"""The list of rows that were left out: a CSV file beside the dataset that only its owner can read.

It holds values, so that a row can be found and corrected; it is never shown, logged or sent. An apostrophe disarms any
cell that a spreadsheet would take for a formula.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from participant.data.model.errors import SourceError
from participant.data.model.private import private_file
from participant.data.sources import Fault

NAME = "bad-rows.csv"
MAX_LISTED = 1_000_000
_LONGEST = 200
_REASONS = 500  # counted separately; any further ones together
_NUMBER = re.compile(r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?")


class BadRows:
    """Writes the list of bad rows.

    Attributes:
        lines: lines of the bad rows, each once.
        repeated: lines that repeat an earlier row; listed, but not bad.
        reasons: count of each reason, by column ("" for the whole row).
    """

    def __init__(self, folder: Path) -> None:
        self._file = private_file(folder / NAME)
        self._out = csv.writer(self._file)
        self._out.writerow(["line", "column", "reason", "value"])
        self.lines: set[int] = set()
        self.repeated: set[int] = set()
        self.reasons: Counter[tuple[str, str]] = Counter()

    def close(self) -> None:
        self._file.close()

    @property
    def left_out(self) -> set[int]:
        return self.lines | self.repeated

    def rows(self, faults: Iterable[Fault]) -> None:
        """List lines that are not rows."""
        for line, reason in faults:
            self.lines.add(line)
            self._write(line, "", reason, None)

    def same(self, faults: Iterable[Fault]) -> None:
        """List rows that repeat an earlier one."""
        for line, reason in faults:
            self.repeated.add(line)
            self._write(line, "", reason, None)

    def cells(self, column: str, reason: str, found: Iterable[tuple[int, str | None]]) -> None:
        """List bad cells of a column, and mark their rows as bad."""
        for line, value in found:
            self.lines.add(line)
            self._write(line, column, reason, value)

    def _write(self, line: int, column: str, reason: str, value: str | None) -> None:
        if len(self.lines) > MAX_LISTED:
            raise SourceError(
                f"more than {MAX_LISTED:,} rows are bad; is it the table that was meant, and its separator?"
            )
        told = (column, reason) if (column, reason) in self.reasons or len(self.reasons) < _REASONS else ("", "others")
        self.reasons[told] += 1
        self._out.writerow([line, column, reason, disarmed((value or "")[:_LONGEST])])


def disarmed(cell: str) -> str:
    """Return a cell that no spreadsheet runs: put an apostrophe before what could be a formula."""
    risky = cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n", "|", "%"} or cell[:1] > "\uff00"
    return f"'{cell}" if risky and not _NUMBER.fullmatch(cell) else cell
