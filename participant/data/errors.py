"""What can be wrong with a table or its storage, in words for the person who imports it.

No message carries a value from the table: a file without a header would otherwise show its first patient.
"""

from collections.abc import Sequence

from secagg.errors import SecaggError


class DatasetError(SecaggError):
    """Base of all errors of a site's data."""


class SourceError(DatasetError):
    """The file cannot be imported: it is missing, empty, of another encoding, or not a regular table."""


class HeaderError(SourceError):
    """The first line does not name the columns properly."""


class NotNumericError(DatasetError):
    """A column is needed as numbers and holds something else.

    Attributes:
        column: its name.
        lines: the first lines of the file where that is so; none where the column is stored as text.
    """

    def __init__(self, column: str, cells: int = 0, lines: Sequence[int] = ()) -> None:
        self.column = column
        self.lines = tuple(lines)
        where = f": cells that are no numbers: {cells}, on line {', '.join(map(str, lines))}" if lines else ""
        more = " and others" if cells > len(lines) else ""
        super().__init__(f"column {column} is not numeric{where}{more}")


class DatasetNameError(DatasetError):
    """The name cannot be one of a dataset."""


class NoSuchDatasetError(DatasetError):
    """There is no dataset, or no version of it, by that name."""


class DamagedDatasetError(DatasetError):
    """What is stored is not what was imported: a file is missing or changed. Import it again."""


class InsecureFolderError(DatasetError):
    """Other users of the machine can read the folder of the datasets."""
