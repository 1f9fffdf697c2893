"""Tables for tests: a CSV file becomes a version of a dataset."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from participant.data.model.declaration import Declaration
from participant.data.model.description import Description
from participant.data.pipeline.importing import Imported, import_table
from participant.data.sources.csv import CsvSource
from participant.data.store.store import DatasetStore

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def import_csv(store: DatasetStore, name: str, path: Path, **declared: Any) -> Description:
    """Import a file; the keywords are the data manager's declarations about it."""
    return imported(store, name, path, **declared).description


def imported(
    store: DatasetStore,
    name: str,
    path: Path,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    **declared: Any,
) -> Imported:
    """Import a file and return the complete result."""
    source = CsvSource(path, encoding=encoding, separator=separator)
    declaration = Declaration.model_validate(declared, strict=False)
    return import_table(store, name, source, imported_at=NOW, declared=declaration)
