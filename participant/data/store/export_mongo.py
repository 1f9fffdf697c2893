"""Exports a dataset version as a MongoDB collection, which gets its name only after the server has counted all of it.

The documents go to `COLLECTION_unfinished_CODE`, where the code stands for data and paths. That collection is also the
record of progress: an export that was killed, or whose server was, goes on at the number of documents that the server
holds. Identifiers follow from the contents, so a document that is sent again is refused as a duplicate and counts once.

The server checks by aggregation: documents, fields, types and missing values over all of them, and a sample, chosen by
hash, value by value.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from participant.data.model.description import Description
from participant.data.model.errors import DatasetError, some
from participant.data.model.progress import Show, nowhere
from participant.data.store.documents import BSON_TYPES, DocumentField, Documents, Paths
from participant.data.store.store import DATA, DatasetStore

BATCH = 1000  # documents in a request
SAMPLE = 1000
_TRIES = 6  # in a row without progress; each waits for the server for ten seconds
_FIELDS = 50  # counted in one aggregation
_DUPLICATE = 11000


class MongoExport(NamedTuple):
    """A verified export.

    Attributes:
        place: database and collection.
        version: version of the dataset.
        rows: number of documents.
        resumed: number of documents that were there from an earlier, killed run.
        fields: path, BSON type and number of missing values of each field, as the server counted them.
        sample: number of documents that were compared value by value.
        sample_sha256: hash of the sampled documents.
    """

    place: str
    version: int
    rows: int
    resumed: int
    fields: tuple[tuple[str, str, int], ...]
    sample: int
    sample_sha256: str

    def in_words(self) -> str:
        """Return the report, for people."""
        lines = [
            f"{self.place}: {self.rows:,} documents of version {self.version}, verified on the server",
            *([f"{self.resumed:,} of them were there from an earlier run"] if self.resumed else []),
            f"every document has the {len(self.fields)} fields and no other:",
            *(f"  {path:<32} {kind:<8} {missing:>12,} missing" for path, kind, missing in self.fields),
            f"{self.sample:,} documents chosen by hash were compared value by value (SHA-256 {self.sample_sha256})",
        ]
        return "\n".join(lines)


def export_mongo(
    datasets: DatasetStore,
    name: str,
    collection: Any,
    *,
    paths: Paths | None = None,
    version: int | None = None,
    replace: str | None = None,
    show: Show = nowhere,
) -> MongoExport:
    """Write a version of a dataset as a collection; run it again to continue after a kill.

    Args:
        datasets: store of the dataset.
        name: name of the dataset.
        collection: the collection of pymongo that is to hold it.
        paths: paths of the columns; by default their names.
        version: version of the dataset; by default the newest.
        replace: full name of the collection, if it exists and is to be replaced once the export is verified.
        show: function that shows the progress.

    Raises:
        NoSuchDatasetError, DamagedDatasetError, DeclarationError: as their names say.
        DatasetError: the collection exists and was not named, the server fails, or it does not hold what was sent.
    """
    described = datasets.verify(name, version)
    table = datasets.folder(name, described.version) / DATA
    task = _Export(collection, Documents(described, paths or Paths()), table, described, show)
    try:
        return task.run(replace)
    except DatasetError:
        raise
    except Exception as error:  # noqa: BLE001 - a driver's words may quote the address
        raise DatasetError(
            f"MongoDB failed ({type(error).__name__}): {task.place} is as it was. Run the export again to continue it"
        ) from None


class _Export:
    def __init__(self, collection: Any, documents: Documents, table: Path, described: Description, show: Show) -> None:
        from pymongo import WriteConcern  # noqa: PLC0415 - an extra
        from pymongo.errors import AutoReconnect, BulkWriteError  # noqa: PLC0415

        self.place = str(collection.full_name)
        self._goal, self._database = collection, collection.database
        unfinished = f"{collection.name}_unfinished_{documents.code}"
        self._work = self._database.get_collection(unfinished, write_concern=WriteConcern(w="majority", j=True))
        self._documents, self._described, self._show = documents, described, show
        self._table = pl.scan_parquet(table, glob=False)
        self._lost, self._refused = AutoReconnect, BulkWriteError

    def run(self, replace: str | None) -> MongoExport:
        if replace not in {None, self.place}:
            raise DatasetError(f"--replace names {replace}, but the export goes to {self.place}")
        there = self._goal.name in self._database.list_collection_names()
        if there and self._goal.find_one({"_id": self._id(self._documents.identifier(0))}) is not None:
            return self._verified(self._goal, self._documents.rows)  # killed after the last step, or called twice
        if there and replace is None:
            raise DatasetError(
                f"{self.place} exists, and nothing was written. Choose another collection, or name it with "
                f"--replace {self.place}: the export takes its place once it is verified"
            )
        resumed = self._insert()
        done = self._verified(self._work, resumed)
        self._work.rename(self._goal.name, **({"dropTarget": True} if there else {}))
        return done

    def _insert(self) -> int:
        """Insert what the server does not hold yet, and return how many documents it held at first."""
        first = done = self._held()
        tries = 0
        while True:
            try:
                for batch in self._batches(done):
                    self._send(batch)
                    done += len(batch)
                    self._show("insert", done, self._documents.rows, done)
            except self._lost:
                held, tries = self._held(), tries + 1
                if held > done:
                    tries = 0
                done = held
                if tries == _TRIES:
                    raise
            else:
                return first

    def _held(self) -> int:
        """Return how many documents are there: insertion is in order, so they are the first ones."""
        for left in reversed(range(_TRIES)):
            try:
                return int(self._work.count_documents({}))
            except self._lost:
                if not left:
                    raise
        raise AssertionError

    def _batches(self, done: int) -> Iterator[list[dict[str, Any]]]:
        rest = self._table.slice(done).collect_batches(chunk_size=BATCH, maintain_order=True, lazy=True)
        for table in rest:
            for start in range(0, table.height, BATCH):
                piece = table.slice(start, BATCH)
                yield [self._bson(document) for document in self._documents.of(piece, range(done, done + piece.height))]
                done += piece.height

    def _send(self, batch: list[dict[str, Any]]) -> None:
        try:
            self._work.insert_many(batch)
        except self._refused:  # a duplicate ends an ordered insertion; the rest goes in any order
            try:
                self._work.insert_many(batch, ordered=False)
            except self._refused as error:
                if any(one["code"] != _DUPLICATE for one in error.details["writeErrors"]):
                    raise

    def _verified(self, collection: Any, resumed: int) -> MongoExport:
        """Let the server count what it holds."""
        faults: list[str] = []
        held = _one(collection, {"$count": "n"}).get("n", 0)
        if held != self._documents.rows:
            faults.append(f"{held:,} documents, where {self._documents.rows:,} were sent")
        faults += self._odd_fields(collection)
        fields = []
        for start in range(0, len(self._documents.fields), _FIELDS):
            for field, kinds in self._kinds(collection, self._documents.fields[start : start + _FIELDS]):
                right = [kind for kind in BSON_TYPES[field.column.kind] if kinds[kind]]
                kind = right[0] if right else BSON_TYPES[field.column.kind][0]
                if odd := sorted(kinds.keys() - {kind, "null"}):
                    faults.append(f"{field.dotted}: {sum(kinds[one] for one in odd):,} are {some(odd)}, not {kind}")
                elif kinds["null"] != field.column.missing:
                    faults.append(f"{field.dotted}: {kinds['null']:,} are null, not {field.column.missing:,}")
                fields.append((field.dotted, kind, kinds["null"]))
        rows = self._documents.sample(SAMPLE)
        sent, found = self._sent(rows), self._found(collection)
        if sent != found:
            faults.append(f"the documents in a sample of {len(rows):,} differ")
        if faults:
            raise DatasetError(
                f"{collection.full_name} does not hold what was sent: {some(faults, 10)}. "
                + (
                    "It was changed after its export"
                    if collection is self._goal
                    else f"{self.place} was not touched; drop {collection.name}, and export again"
                )
            )
        return MongoExport(
            self.place,
            self._described.version,
            held,
            resumed,
            tuple(fields),
            len(rows),
            sha256(b"".join(sent)).hexdigest(),
        )

    def _odd_fields(self, collection: Any) -> Iterator[str]:
        """Yield the fields that some documents have and that were not sent."""
        known = {(): {"_id"}} | {path: set[str]() for path in self._documents.inner}
        for field in self._documents.fields:
            for end in range(len(field.path)):
                known[field.path[:end]].add(field.path[end])
        for path, names in known.items():
            place = "$$ROOT" if not path else f"${'.'.join(path)}"
            stages = [
                {"$project": {"one": {"$objectToArray": place}}},
                {"$unwind": "$one"},
                {"$group": {"_id": "$one.k", "n": {"$sum": 1}}},
            ]
            found = {one["_id"] for one in collection.aggregate(stages, allowDiskUse=True)}
            if odd := sorted(found - names):
                yield f"documents have {len(odd)} fields that were not sent in {'.'.join(path) or 'themselves'}"

    def _kinds(
        self, collection: Any, fields: tuple[DocumentField, ...]
    ) -> Iterator[tuple[DocumentField, Mapping[str, int]]]:
        """Yield how many documents hold each BSON type at each field; "missing" where they have no such field."""
        asked = [*dict.fromkeys(kind for kinds in BSON_TYPES.values() for kind in kinds), "null"]
        sums = {
            f"{position}_{kind}": {"$sum": {"$cond": [{"$eq": [{"$type": f"${field.dotted}"}, kind]}, 1, 0]}}
            for position, field in enumerate(fields)
            for kind in asked
        }
        counts = _one(collection, {"$group": {"_id": None, "n": {"$sum": 1}, **sums}})
        for position, field in enumerate(fields):
            kinds = Counter({kind: n for kind in asked if (n := counts.get(f"{position}_{kind}", 0))})
            if left := counts.get("n", 0) - kinds.total():
                kinds["absent or of another type"] = left
            yield field, kinds

    def _sent(self, rows: tuple[int, ...]) -> list[bytes]:
        """Return the hashes of the documents of these rows."""
        wanted = pl.DataFrame({"#": rows}, schema={"#": pl.UInt32})
        table = self._table.with_row_index("#").join(wanted.lazy(), on="#").collect()
        table = wanted.join(table, on="#", maintain_order="left")
        return [_hash(self._bson(document)) for document in self._documents.of(table, rows)]

    def _found(self, collection: Any) -> list[bytes]:
        """Return the hashes of the documents with the smallest identifiers on the server."""
        stages = [{"$sort": {"_id": 1}}, {"$limit": SAMPLE}]
        return [_hash(document) for document in collection.aggregate(stages, allowDiskUse=True)]

    def _bson(self, document: dict[str, Any]) -> dict[str, Any]:
        return _wide(document) | {"_id": self._id(document["_id"])}

    def _id(self, identifier: bytes) -> Any:
        from bson import ObjectId  # noqa: PLC0415 - an extra

        return ObjectId(identifier)


def _one(collection: Any, stage: dict[str, Any]) -> dict[str, Any]:
    """Return the only result of an aggregation; empty for an empty collection."""
    return next(iter(collection.aggregate([stage])), {})


def _wide(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose whole numbers all have 64 bits, so that a field has one type."""
    from bson import Int64  # noqa: PLC0415 - an extra

    return {
        name: _wide(value)
        if isinstance(value, dict)
        else Int64(value)
        if isinstance(value, int) and not isinstance(value, bool)
        else value
        for name, value in document.items()
    }


def _hash(document: dict[str, Any]) -> bytes:
    from bson import encode  # noqa: PLC0415 - an extra

    return sha256(encode(_wide(document))).digest()
