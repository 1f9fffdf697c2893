"""Two nearly equal answers reveal the difference between them. A site's own records let it prevent that.

**Rows.** A question about 200 patients and one about 199 of them together reveal the data of the one. A site must not
refuse the second: whoever sees the refusal learns that somebody is in the difference (pitfall 31 of
`specs/00-threat-model.md`). So where rows would differ by too little, the site makes them equal, or different enough,
before it computes the vector. No lane counts such changes, since a count would reveal the same. With a floor of f
persons (`minimum_persons`, which the policy requires of queries), the rows of an answer and those of each earlier
answer from this dataset are either equal, or one of the two sets holds at least f persons who are not in the other. If
the rows that a query asks for do not satisfy this:

- the site answers with the rows of the nearest earlier answer, if they have the values that the query needs;
- otherwise it leaves out further persons, chosen by a key of its own, until the difference is large enough.

The sum is then off by fewer than f persons of this site for each near earlier answer; only the site's own ledger says
so. A policy may instead refuse such a query openly (`near_answers`), which discloses that much. Queries without a
floor, which the policy must allow (`single_persons`), are answered exactly. Versions of a dataset are compared by the
contents of their rows: an added patient is left out until f have been added, and a withdrawn one takes f - 1 others
along.

**Sites.** The same question over n sites and over n - 1 of them reveals the vector of the missing one (pitfall 30). The
sites in a sum are public, so here a site may refuse visibly. It signs a set of survivors only if that set equals one
that it signed before for this dataset, in any run and project, or differs from each of them by at least n_C + 2 sites:
colluders who come and go account for n_C. Where the run's loss rule is `continue`, the site signs a set that shrinks
within the run, which replaces the previous one: only the smaller one may recur. An officer may approve a set refused on
these grounds, unless the policy says `abort`.

Three sets that are far from each other can still be solved for one site: with A, B and C for two sites each, the sums
over AB, BC and AC determine that over A, and a colluder in A subtracts itself. Linear combinations of sums cannot tell
sites apart that were in exactly the same ones. So a new set may divide such a group only into parts of at least n_C + 2
sites, which holds against any number of sums (`set_apart`).

**What several answers still reveal.** The rules bound the difference of two answers, not what three or more reveal
together: counts of A and B, of A or B, and of A and B jointly can be far from each other and still yield to linear
algebra, and so can many regressions over the same rows; the budget bounds their number. A person in no pair of near
answers is protected by the floor alone. The site does not know what it released of a version whose data were dropped
before a later one was compared with it, nor, after a restore from a backup of the key, which rows its answers used.
Colluders who change their keys between two runs count twice.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from participant.statistics.language.layout import Array
from relay.api.wire import from_base64url
from secagg.identity import KEY_BYTES
from secagg.masks import add_keystream

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RowSet:
    """The rows of one version of a dataset that went into an answer.

    Attributes:
        version: version of the dataset.
        origin: name by which the ledger refers to these rows; it only shows equality, and only inside this site.
        packed: bit mask over the rows, compressed.
        gone: number of persons in the original answer who are not in this version.
    """

    version: int
    origin: str
    packed: bytes = field(repr=False)
    gone: int = 0

    @classmethod
    def of(cls, version: int, rows: Mask) -> "RowSet":
        """Return the row set of a new answer."""
        packed = _pack(rows)
        return cls(version, sha256(f"{version}.".encode() + packed).hexdigest()[:16], packed)

    def carried(self, version: int, rows: Mask, gone: int) -> "RowSet":
        """Return the part of this set that another version holds."""
        return RowSet(version, self.origin, _pack(rows), gone)

    def rows(self, count: int) -> Mask:
        """Return the mask over `count` rows, (count,) bool."""
        bits = np.unpackbits(np.frombuffer(zlib.decompress(self.packed), np.uint8), count=count)
        return bits.astype(np.bool_)


def _pack(rows: Mask) -> bytes:
    return zlib.compress(np.packbits(rows).tobytes(), 1)


class People:
    """Maps rows to persons: one person each, or by the dataset's person identifiers."""

    def __init__(self, numbers: Array | None = None) -> None:
        self._codes: NDArray[np.int64] | None = None
        if numbers is not None:  # all rows without an identifier count as one person
            self._codes = np.unique(np.nan_to_num(numbers, nan=-1.0), return_inverse=True)[1]

    def count(self, rows: Mask) -> int:
        if self._codes is None:
            return int(np.count_nonzero(rows))
        return int(np.count_nonzero(np.bincount(self._codes[rows])))

    def without(self, rows: Mask, among: Mask, how_many: int, order: NDArray[np.uint64]) -> Mask:
        """Return `rows` without the first `how_many` persons of `among`, in the given row order."""
        candidates = np.flatnonzero(among)
        candidates = candidates[np.argsort(order[candidates], kind="stable")]
        left = rows.copy()
        if self._codes is None:
            left[candidates[:how_many]] = False
            return left
        codes = self._codes[candidates]
        _, first = np.unique(codes, return_index=True)
        left[np.isin(self._codes, codes[np.sort(first)[:how_many]])] = False
        return left


class Earlier(NamedTuple):
    """An earlier answer in terms of the present version's rows."""

    rows: Mask
    gone: int


def distance(one: Mask, other: Earlier, people: People) -> int:
    """Return how many persons are in one answer but not in the other; the larger count of both directions."""
    return max(people.count(one & ~other.rows), people.count(other.rows & ~one) + other.gone)


def apart(
    asked: Mask, usable: Mask, earlier: Sequence[Earlier], floor: int, people: People, order: NDArray[np.uint64]
) -> Mask:
    """Return the rows to answer with: equal to each earlier answer, or at least `floor` persons away from it.

    Args:
        asked: rows that the query asks for, (rows,).
        usable: rows that have the values the query needs, (rows,).
        earlier: earlier answers.
        floor: least difference, in persons.
        people: mapping of rows to persons.
        order: secret order in which persons are left out, (rows,).
    """
    near = sorted((gap, at) for at, one in enumerate(earlier) if 0 < (gap := distance(asked, one, people)) < floor)
    for _, at in near:
        if not earlier[at].gone and not (earlier[at].rows & ~usable).any():
            return earlier[at].rows
    rows = asked
    while True:
        found = next(
            (one for one in earlier if 0 < distance(rows, one, people) < floor and (rows & one.rows).any()), None
        )
        if found is None:
            return rows
        missing = floor - found.gone - people.count(found.rows & ~rows)
        rows = people.without(rows, rows & found.rows, missing, order)


def secret_order(key: bytes, dataset: str, version: int, rows: int) -> NDArray[np.uint64]:
    """Return a rank for each row that nobody can predict without the key, (rows,)."""
    ranks = np.zeros(rows, np.uint64)
    add_keystream(ranks, sha256(key + f"{dataset}.{version}".encode()).digest())
    return ranks


# Sites -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedSet:
    """Keys of survivors that this site confirmed for a dataset.

    Attributes:
        keys: keys of the survivors.
        run: the first run with this set.
        retired: whether a smaller set has replaced it.
        provisional: whether it was only signed under standing approvals, so that it permits no other run.
    """

    keys: frozenset[bytes]
    run: UUID
    retired: bool
    provisional: bool = False


def too_near(keys: frozenset[bytes], signed: Iterable[SignedSet], least: int) -> list[SignedSet]:
    """Return the signed sets fewer than `least` sites away, nearest first; none if the set itself was signed for good.

    An equal set counts as too near if it is retired, and is left out if it is provisional.
    """
    known = list(signed)
    if least <= 1 or any(one.keys == keys and not (one.retired or one.provisional) for one in known):
        return []
    near = (one for one in known if len(one.keys ^ keys) < least and (one.keys != keys or one.retired))
    return sorted(near, key=lambda one: len(one.keys ^ keys))


def set_apart(keys: frozenset[bytes], signed: Iterable[SignedSet], least: int) -> int:
    """Return the size of the smallest group of sites that a sum over `keys` would newly set apart from all others.

    A group consists of all sites that were in exactly the same sums. Groups of at least `least` sites do not count, nor
    do sites in no sum at all; 0 if no other group comes about, and for the first sum of all.
    """
    if not (known := [one.keys for one in signed]):
        return 0
    groups: dict[tuple[bool, ...], set[bytes]] = {}
    for site in keys.union(*known):
        groups.setdefault(tuple(site in one for one in known), set()).add(site)
    parts = [
        part
        for place, group in groups.items()
        if (inside := group & keys)
        for part in (inside, group - keys)
        if part and (group - keys or not any(place))  # a group that stays whole was there before
    ]
    return min((len(part) for part in parts if len(part) < least), default=0)


# Records -----------------------------------------------------------------------------------------------------------


class AnsweredRows:
    """Records what this site answered and signed for each dataset, in the participant's journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def row_sets(self, dataset: str) -> list[RowSet]:
        """Return a dataset's row sets, oldest first: those answered with, and those carried over to a later version."""
        rows = self._connection.execute(
            "SELECT version, origin, rows, gone FROM answered WHERE dataset = ? ORDER BY rowid", (dataset,)
        )
        return [RowSet(*row) for row in rows]

    def answer(self, dataset: str, row_sets: Iterable[RowSet]) -> None:
        """Record an answer's row sets, in the transaction that makes it durable."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO answered VALUES (?, ?, ?, ?, ?)",
            [(dataset, one.version, one.origin, one.packed, one.gone) for one in row_sets],
        )

    def key(self) -> bytes:
        """Return this site's key for the order in which persons are left out; generated at first use."""
        row = self._connection.execute("SELECT key FROM own_key").fetchone()
        if row is None:
            self._connection.execute("INSERT OR IGNORE INTO own_key VALUES (1, ?)", (os.urandom(32),))
            return self.key()  # another process may have been first
        return bytes(row[0])

    def signed_sets(self, dataset: str) -> list[SignedSet]:
        """Return the sets of survivors that this site confirmed for a dataset, oldest first."""
        rows = self._connection.execute(
            "SELECT keys, run, retired, provisional FROM signed_set WHERE dataset = ? ORDER BY rowid", (dataset,)
        )
        return [
            SignedSet(_split(keys), UUID(run), bool(retired), bool(provisional))
            for keys, run, retired, provisional in rows
        ]

    def sign(
        self,
        dataset: str,
        run: UUID,
        keys: Iterable[bytes],
        *,
        instead_of: Iterable[bytes] = (),
        provisional: bool = False,
    ) -> None:
        """Record a set of survivors in the transaction that signs it; it may replace an earlier, larger one."""
        joined, replaced = (b"".join(sorted(one)) for one in (keys, instead_of))
        if replaced and replaced != joined:
            self._connection.execute(
                "UPDATE signed_set SET retired = 1 WHERE dataset = ? AND keys = ?", (dataset, replaced)
            )
        self._connection.execute(
            "INSERT INTO signed_set VALUES (?, ?, ?, 0, ?) ON CONFLICT (dataset, keys) DO UPDATE "
            "SET retired = 0, provisional = min(provisional, excluded.provisional)",
            (dataset, joined, str(run), provisional),
        )

    def relearn(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Record the survivor sets of ledger entries: a restored journal has no other record of them."""
        last: dict[str, tuple[bytes, ...]] = {}
        for entry in entries:
            if entry["what"] == "survivors" and "dataset" in entry:
                keys = tuple(from_base64url(key) for key in entry["sites"])
                self.sign(
                    entry["dataset"],
                    UUID(entry["run"]),
                    keys,
                    instead_of=last.get(entry["run"], ()),
                    provisional=entry.get("standing") is not None,
                )
                last[entry["run"]] = keys


def _split(keys: bytes) -> frozenset[bytes]:
    return frozenset(keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES))
