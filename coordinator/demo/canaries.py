"""Searches everything the relay stored and logged for secrets that it must not have.

A canary is a byte string that only one party may know: a piece of a site's vector in each form it takes on its way, a
value planted in a dataset, or a key. The search covers its raw form, hex, and base64 at every alignment, in the files
and in each cell of the database (where a long value may be spread over several pages).
"""

import base64
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secagg import packing, ring
from secagg.params import Schema
from secagg.quantize import quantize

WINDOW = 32  # length of a piece in bytes; long enough not to occur by chance
MIN_DISTINCT = 6  # least number of distinct bytes in a piece; runs of zeros are not secret
PIECES = 24  # number of pieces taken from each form of a vector, spread over it
_PREFIX = 8


@dataclass(frozen=True, slots=True)
class Canary:
    """A byte string to search for, and the secret that it belongs to."""

    what: str
    pattern: bytes


@dataclass(frozen=True, slots=True)
class Sighting:
    """A canary that was found, and its location."""

    what: str
    where: str


def of_secret(what: str, secret: bytes) -> Iterator[Canary]:
    """Yield a secret in every form in which it may be stored."""
    yield Canary(what, secret)
    yield Canary(f"{what} in hex", secret.hex().encode())
    yield Canary(f"{what} in hex", secret.hex().upper().encode())
    for shift in range(3):
        # Encode `shift` zero bytes and the secret; keep only the characters whose six bits all belong to the secret.
        encoded = base64.b64encode(bytes(shift) + secret)
        inner = encoded[-(-4 * shift // 3) : 8 * (shift + len(secret)) // 6]
        yield Canary(f"{what} in base64", inner)
        yield Canary(f"{what} in base64url", inner.replace(b"+", b"-").replace(b"/", b"_"))


def of_vector(what: str, vector: NDArray[np.float64], schema: Schema) -> Iterator[Canary]:
    """Yield pieces of a site's vector: as reals, as quantised integers, as ring elements packed for sending."""
    values = quantize(vector, schema).values
    packed = packing.pack(ring.embed(values, schema.ring_bits), schema.ring_bits)
    forms = {"reals": vector.astype("<f8").tobytes(), "integers": values.astype("<i8").tobytes(), "packed": packed}
    for form, data in forms.items():
        for piece in _pieces(data):
            yield from of_secret(f"{what}, {form}", piece)


def _pieces(data: bytes) -> list[bytes]:
    """Return pieces that cannot occur by chance, spread over the data."""
    starts = range(0, max(1, len(data) - WINDOW + 1), 8)
    telling = [data[s : s + WINDOW] for s in starts if len(set(data[s : s + WINDOW])) >= MIN_DISTINCT]
    return telling[:: max(1, len(telling) // PIECES)][:PIECES]


def search(canaries: Iterable[Canary], folder: Path, logs: Iterable[Path]) -> list[Sighting]:
    """Return every canary found in a folder's files, in the cells of its databases, or in logs.

    Raises:
        ValueError: there is nothing to search for, or nowhere to search: such a search could not find anything.
    """
    flock = {canary.pattern: canary.what for canary in canaries if len(canary.pattern) >= _PREFIX}
    places = list(_places(folder, logs))
    if not flock or not places:
        raise ValueError("a search needs canaries and something to search")
    lengths: dict[bytes, set[int]] = {}  # lengths of the canaries, by their first eight bytes
    for pattern in flock:
        lengths.setdefault(pattern[:_PREFIX], set()).add(len(pattern))
    prefixes = np.array(sorted(int.from_bytes(prefix, "little") for prefix in lengths), np.uint64)
    found = []
    for where, data in places:
        for at in _candidates(data, prefixes):
            pieces = (data[at : at + length] for length in lengths[data[at : at + _PREFIX]])
            found += [Sighting(flock[piece], where) for piece in pieces if piece in flock]
    return found


def _candidates(data: bytes, prefixes: NDArray[np.uint64]) -> Iterator[int]:
    """Yield the positions at which one of the 8-byte prefixes occurs."""
    for offset in range(min(_PREFIX, max(0, len(data) - _PREFIX + 1))):
        words = np.frombuffer(data, "<u8", (len(data) - offset) // _PREFIX, offset)
        near = np.searchsorted(prefixes, words).clip(max=len(prefixes) - 1)
        for index in np.flatnonzero(prefixes[near] == words):
            yield offset + _PREFIX * int(index)


def _places(folder: Path, logs: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield str(path.relative_to(folder)), path.read_bytes()
        if path.suffix in {".sqlite", ".sqlite3", ".db"}:
            yield from _cells(path)
    for log in logs:
        yield log.name, log.read_bytes()


def _cells(database: Path) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            quoted = table.replace('"', '""')
            for row in connection.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 names come from the database itself
                for cell in row:
                    if isinstance(cell, (bytes, str)):
                        yield f"{database.name}, table {table}", cell if isinstance(cell, bytes) else cell.encode()
    finally:
        connection.close()
