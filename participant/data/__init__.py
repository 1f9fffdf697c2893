"""The site's data: from a table to a typed, versioned, verified dataset, and from there to the columns of a query."""

from participant.data.declaration import Declaration
from participant.data.description import Column, Description, Kind
from participant.data.errors import (
    BadRowsError,
    DamagedDatasetError,
    DatasetError,
    DatasetNameError,
    DeclarationError,
    HeaderError,
    InsecureFolderError,
    NoSuchDatasetError,
    NotNumericError,
    SourceError,
)
from participant.data.store import DatasetStore

__all__ = [
    "BadRowsError",
    "Column",
    "DamagedDatasetError",
    "DatasetError",
    "DatasetNameError",
    "DatasetStore",
    "Declaration",
    "DeclarationError",
    "Description",
    "HeaderError",
    "InsecureFolderError",
    "Kind",
    "NoSuchDatasetError",
    "NotNumericError",
    "SourceError",
]
