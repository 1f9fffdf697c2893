"""A MongoDB collection. Needs the extra `secagg[mongo]`.

Nested documents become columns with dotted names, a few levels deep; lists do not fit a cell and are refused.
Any document may have fields of its own, so the collection is read twice: for the names, then for the values.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import Batch, Origin, SourceColumn, batch_rows, check_columns
from participant.data.sources.cells import CellBatches

MAX_DEPTH = 4


class MongoSource:
    """A collection.

    Args:
        collection: collection of pymongo, or any object with its `find`.

    Raises:
        SourceError: it is empty, cannot be read, or its documents do not make a table.
    """

    decimal = None
    size = None

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._columns: dict[str, int] = {}
        for row in self._rows():
            for name in row:
                self._columns.setdefault(name, len(self._columns))
            check_columns(len(self._columns))
        if not self._columns:
            raise SourceError("the collection is empty")
        self._cells = CellBatches(list(self._columns))

    @classmethod
    def connect(cls, url: str, name: str) -> "MongoSource":
        """Connect to a collection.

        Args:
            url: address, mongodb://... ; it may hold a password and is never stored.
            name: name in the form database.collection.

        Raises:
            SourceError: pymongo is not installed, the name is incomplete, or the server does not answer.
        """
        return cls(connected(url, name, "--collection"))

    @property
    def header(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def batches(self) -> Iterator[Batch]:
        first, rows = 1, self._rows()
        while batch := list(islice(rows, batch_rows(len(self._columns)))):
            if any(name not in self._columns for row in batch for name in row):
                raise SourceError("the collection got new fields while it was read; import it again")
            lines = pl.int_range(first, first + len(batch), dtype=pl.Int64, eager=True)
            first += len(batch)
            yield self._cells.batch([[row.get(name) for row in batch] for name in self._columns], lines, read=first - 1)

    def known(self) -> Mapping[int, SourceColumn]:
        return self._cells.known()

    def origin(self) -> Origin:
        return Origin("mongo", f"collection {self._collection.full_name}")

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            for document in self._collection.find({}, {"_id": False}):
                yield {name: _single(value) for name, value in _flat(document, "", MAX_DEPTH)}
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - a driver's words may quote the address
            raise SourceError(f"the collection cannot be read ({type(error).__name__})") from None


def connected(url: str, name: str, option: str) -> Any:
    """Return a collection of pymongo.

    Args:
        url: address, mongodb://... ; it may hold a password and is never stored.
        name: name in the form database.collection.
        option: option of the command that names it, for the message.

    Raises:
        SourceError: pymongo is not installed, the name is incomplete, or the address is not valid.
    """
    try:
        from pymongo import MongoClient  # noqa: PLC0415 - an extra
        from pymongo.errors import PyMongoError  # noqa: PLC0415
    except ImportError:
        raise SourceError("MongoDB needs the extra: pip install 'secagg[mongo]'") from None
    database, _, collection = name.partition(".")
    if not collection:
        raise SourceError(f"name the collection with {option} database.collection")
    try:
        client: Any = MongoClient(url, serverSelectionTimeoutMS=10_000)
        return client[database][collection]
    except PyMongoError as error:
        raise SourceError(f"the address of MongoDB is not valid ({type(error).__name__})") from None


def _flat(document: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth == 0:
        raise SourceError(f"a document nests more than {MAX_DEPTH} levels deep; flatten it in the database first")
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.", depth - 1)
        else:
            yield f"{prefix}{name}", value


def _single(value: Any) -> Any:
    """Return a BSON value as a plain Python value; types that only BSON has are converted."""
    match type(value).__name__:
        case "Decimal128":
            return value.to_decimal()
        case "ObjectId":
            return str(value)
        case "Int64":
            return int(value)
        case "Timestamp":
            return value.as_datetime()
    return value
