"""The site's data: from a file to a typed, versioned, verified dataset, and from there to the columns of a query."""

from participant.data.columns import Kind
from participant.data.description import Column, Description
from participant.data.errors import (
    DamagedDatasetError,
    DatasetError,
    DatasetNameError,
    HeaderError,
    InsecureFolderError,
    NoSuchDatasetError,
    NotNumericError,
    SourceError,
)
from participant.data.store import DatasetStore

__all__ = [
    "Column",
    "DamagedDatasetError",
    "DatasetError",
    "DatasetNameError",
    "DatasetStore",
    "Description",
    "HeaderError",
    "InsecureFolderError",
    "Kind",
    "NoSuchDatasetError",
    "NotNumericError",
    "SourceError",
]
