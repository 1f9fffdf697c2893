"""Errors of a table or its storage, worded for the person who imports it.

No message carries a value from the table: a file without a header would otherwise show its first patient.
"""

from collections.abc import Sequence
from pathlib import Path

from secagg.errors import SecaggError


class DatasetError(SecaggError):
    """Base of all errors of a site's data."""


class SourceError(DatasetError):
    """The table cannot be read: it is missing, empty, irregular, in another encoding, or larger than allowed."""


class ImportLimitError(SourceError):
    """The import needed more memory or time than the site's settings allow."""


class HeaderError(SourceError):
    """The first line does not name the columns properly."""


class DeclarationError(DatasetError):
    """The declaration of a table, or the mapping of its columns, is wrong; the message says where."""


class BadRowsError(DatasetError):
    """More rows are bad than the import may leave out; nothing was stored.

    Attributes:
        bad, rows: number of bad rows, and of all rows.
        share: share of bad rows that is allowed.
        folder: folder with the report and the list of bad rows.
    """

    def __init__(self, bad: int, rows: int, share: float, folder: Path) -> None:
        self.bad = bad
        self.rows = rows
        self.share = share
        self.folder = folder
        super().__init__(
            f"{bad:,} of {rows:,} rows are bad, and {share:.2%} may be: nothing was stored. They are listed with their "
            f"reasons in {folder / 'bad-rows.csv'}, and {folder / 'report.html'} shows the whole table"
        )


class NotNumericError(DatasetError):
    """A column that is needed as numbers is stored as something else.

    Attributes:
        column: name of the column.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        super().__init__(f"column {column} is not numeric")


class DatasetNameError(DatasetError):
    """The name is not valid for a dataset."""


class NoSuchDatasetError(DatasetError):
    """There is no dataset of that name, or no such version of it."""


class DamagedDatasetError(DatasetError):
    """The stored data are not those imported: a file is missing or changed. Import them again."""


class InsecureFolderError(DatasetError):
    """Other users of the machine can read the folder of the datasets."""


def some(items: Sequence[object], most: int = 5) -> str:
    """List the first few items in words."""
    shown = ", ".join(str(item) for item in items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
