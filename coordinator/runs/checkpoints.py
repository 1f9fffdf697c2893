"""Checkpoints: the sealed state of a run at the relay, where another process of the same coordinator can find it.

A checkpoint is a parcel from the coordinator to itself, sealed under a key derived from its identity. It is stored
after the journal has committed a step and before any byte of that step is sent, under the run's lease. So a checkpoint
always covers what the sites have received, and a process that lost the lease cannot store one. Each checkpoint names
its predecessor. Answers and packages appear only in the first checkpoint after they arise, everything else in all of
them. Decision: specs/adr/0020.
"""

import asyncio
import json
import sqlite3
import zlib
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from coordinator.journal.records import RunRecords
from relay.api.wire import FIRST_PARCEL
from relay.client.transport import Message, RelayClient
from relay.party.journal import Journal, JournalBatch, RestoredStateError
from relay.service.crashpoints import crashpoint
from secagg import envelope
from secagg.codec import tagged_hash
from secagg.errors import DecodeError, SecaggError
from secagg.identity import Identity, InvalidSignatureError
from secagg.messages import EncapsulationPackage
from secagg.protocol.coordinator_setup import CoordinatorSetup
from secagg.protocol.table import decode_state

CHECKPOINT = FIRST_PARCEL + 2
MOST_INLINE_BYTES = 1 << 20
"""Largest checkpoint sent inside a message; a larger one travels as a payload."""
_INLINE, _APART = b"\x00", b"\x01"
_RUN = (
    "project", "name", "tasks", "task", "sites", "value_bits", "quorum", "began", "deadline", "repeats", "position",
)  # fmt: skip


class CheckpointError(SecaggError):
    """The checkpoints of a run are not what its coordinator stored; none was loaded."""


class RunCheckpoints:
    """The checkpoints of one run."""

    def __init__(self, run: UUID, journal: Journal, identity: Identity, relay: RelayClient) -> None:
        self._run = run
        self._journal = journal
        self._identity = identity
        self._relay = relay
        self._box = SecretBox(identity.secret("checkpoints"))

    # Storing -------------------------------------------------------------------------------------------------------

    async def store(self, lease: int | None) -> None:
        """Store what the journal has committed since the last checkpoint, if anything.

        Raises:
            RelayError: `stale-lease`: another process now holds the run.
        """
        content = _Content(self._journal, self._run)
        if content.version == content.stored:
            return
        sealed = await asyncio.to_thread(self._sealed, content.facts())
        body, payload = _INLINE + sealed, None
        if len(sealed) > MOST_INLINE_BYTES:
            digest = sha256(sealed).digest()
            body = _APART + digest
            payload = await self._relay.upload(
                self._run, sealed, size=len(sealed), digest=digest, to=self._identity.public
            )
        frame = envelope.sign(
            self._identity,
            body,
            kind=CHECKPOINT,
            epoch=self._place,
            round_=content.version,  # the relay accepts one checkpoint for each version
            sender=envelope.COORDINATOR,
            recipient=envelope.COORDINATOR,
        )
        crashpoint("checkpoint-made")
        await self._relay.post_message(self._run, self._identity.public, frame.encode(), payload, lease=lease)
        crashpoint("checkpoint-stored")
        with self._journal.transaction() as batch:
            content.note_stored(batch)

    def _sealed(self, facts: dict[str, Any]) -> bytes:
        return bytes(self._box.encrypt(zlib.compress(json.dumps(facts).encode(), 1)))

    @property
    def _place(self) -> bytes:
        return tagged_hash("parcels", self._run.bytes)

    # Loading -------------------------------------------------------------------------------------------------------

    async def catch_up(self) -> bool:
        """Load the run from its last checkpoint if that is ahead of the journal; returns whether it was.

        Call this under the lease, so that nobody stores another checkpoint meanwhile. A loaded epoch opens no further
        rounds, but its open round is finished.

        Raises:
            CheckpointError: the parcels are not this coordinator's checkpoints, or some are missing.
        """
        found: list[Message] = []
        while page := await self._relay.parcels(self._run, found[-1].id if found else 0):
            found += page
        ours = [one for one in found if one.sender == self._identity.public]
        if not ours:
            return False
        newest = await self._frame(ours[-1])
        if newest is None or (newest.round <= _stored(self._journal.connection, self._run) and not self._is_copy()):
            return False
        folded = _Folded()
        for message in ours:
            if (frame := await self._frame(message)) is not None:
                folded.add(await self._opened(message, frame))
        with self._journal.transaction() as batch:
            folded.write(batch, self._run)
        return True

    def _is_copy(self) -> bool:
        """Return whether the journal was restored from a copy, and so lags behind what this folder has sent."""
        if str(self._run) not in self._journal.machines():
            return False
        try:
            self._journal.state(str(self._run))
        except RestoredStateError:
            return True
        return False

    async def _frame(self, message: Message) -> envelope.Frame | None:
        """Return the frame of a checkpoint, or None for a parcel that is not a checkpoint.

        Raises:
            CheckpointError: this coordinator did not sign it for this run.
        """
        data = await self._relay.frame(message.id) if message.frame is None else message.frame
        try:
            frame = envelope.parse(data)
            frame.verify(self._identity.public)
        except (DecodeError, InvalidSignatureError):
            raise CheckpointError(f"message {message.id} is not signed by this coordinator") from None
        if frame.kind != CHECKPOINT:
            return None
        if frame.epoch != self._place:
            raise CheckpointError(f"message {message.id} is a checkpoint of another run")
        return frame

    async def _opened(self, message: Message, frame: envelope.Frame) -> dict[str, Any]:
        kind, rest = frame.body[:1], frame.body[1:]
        if kind == _APART and message.payload is not None:
            rest = b"".join([part async for part in self._relay.download(message.payload.id)])
        try:
            facts: dict[str, Any] = json.loads(zlib.decompress(self._box.decrypt(rest)))
        except (CryptoError, ValueError, zlib.error):
            raise CheckpointError(f"checkpoint {frame.round} cannot be opened with this identity") from None
        if (facts["id"], facts["version"]) != (str(self._run), frame.round):
            raise CheckpointError(f"checkpoint {frame.round} is of another run or version than its frame states")
        return facts


class _Content:
    """The content of a run's next checkpoint, from the journal's current state."""

    def __init__(self, journal: Journal, run: UUID) -> None:
        self._journal = journal
        self._run = run
        self._db = journal.connection
        (self.version, self.stored, self._answers, self._entries, self._epoch) = self._db.execute(
            "SELECT version, stored, stored_answers, stored_entries, stored_epoch FROM run WHERE run = ?", (str(run),)
        ).fetchone()
        state = journal.state(str(run)) if str(run) in journal.machines() else None
        # A setup is restarted rather than continued, so that its secrets need not be stored.
        self._state = None if state is None or isinstance(decode_state(state), CoordinatorSetup) else state
        epoch = self._db.execute("SELECT max(number) FROM epoch WHERE run = ?", (str(run),)).fetchone()[0] or 0
        self._packages = self._state is not None and epoch > self._epoch
        if self._packages:
            self._epoch = epoch

    def facts(self) -> dict[str, Any]:
        found = self._db.execute("SELECT * FROM run WHERE run = ?", (str(self._run),))
        run = dict(zip([column[0] for column in found.description], found.fetchone(), strict=True))
        answers = self._rows(
            "SELECT position, query, round, ring_bits, survivors, total FROM answer WHERE run = ? ORDER BY position"
        )
        entries = self._rows("SELECT number, kind, body, head FROM receipt WHERE run = ? ORDER BY number")
        facts = {
            "id": str(self._run),
            "version": self.version,
            "after": self.stored,
            "run": {name: run[name] for name in _RUN},
            "terms": b64encode(run["terms"]).decode(),
            "epochs": self._rows("SELECT number, next FROM epoch WHERE run = ?"),
            "answers": _plain(answers[self._answers :]),
            "entries": _plain(entries[self._entries :]),
            "turn": _plain(self._rows("SELECT position, query, deadline, seed FROM turn WHERE run = ?")),
            "uploads": _plain(self._rows("SELECT site, frame, payload FROM upload WHERE run = ?")),
            "machine": None if self._state is None else b64encode(self._state).decode(),
            "packages": None,
            "outbox": [
                [_plain_value(one.recipient), _plain_value(one.frame), _payload(one.payload), one.payload_for is None]
                for one in self._journal.outgoing(self._run)
            ],
        }
        if self._packages:
            kept = "SELECT kind, site, data FROM package WHERE machine = ? AND kind != ?"
            rows = self._db.execute(kept, (str(self._run), EncapsulationPackage.__name__))
            facts["packages"] = _plain(rows.fetchall())
        self._answers, self._entries = len(answers), len(entries)
        return facts

    def note_stored(self, batch: JournalBatch) -> None:
        batch.connection.execute(
            "UPDATE run SET stored = ?, stored_answers = ?, stored_entries = ?, stored_epoch = ? WHERE run = ?",
            (self.version, self._answers, self._entries, self._epoch, str(self._run)),
        )

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._db.execute(query, (str(self._run),)).fetchall()


class _Folded:
    """The state that a run's checkpoints add up to."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {"version": 0}
        self._answers: list[list[Any]] = []
        self._entries: list[list[Any]] = []
        self._packages: list[list[Any]] = []
        self._epoch = 0
        self._machine: bytes | None = None

    def add(self, facts: dict[str, Any]) -> None:
        """Add the next checkpoint; raises CheckpointError unless it follows the previous one."""
        if facts["after"] != self._last["version"]:
            raise CheckpointError(
                f"checkpoint {facts['version']} follows {facts['after']}, but the one before it here is "
                f"{self._last['version']}: the relay withholds some checkpoints"
            )
        self._last = facts
        self._answers += facts["answers"]
        self._entries += facts["entries"]
        if facts["packages"] is not None:
            self._packages = facts["packages"]
            self._epoch = max(number for number, _ in facts["epochs"])
        if facts["machine"] is not None:
            self._machine = b64decode(facts["machine"])

    def write(self, batch: JournalBatch, run: UUID) -> None:
        """Replace the run's state in the journal."""
        db, facts, name = batch.connection, self._last, str(run)
        _clear(batch, run)
        more = {"run": name, "terms": b64decode(facts["terms"]), "version": facts["version"]}
        more |= {"answers": len(self._answers), "entries": len(self._entries), "epoch": self._epoch}
        db.execute(
            "INSERT INTO run VALUES (:run, :project, :name, :terms, :tasks, :task, :sites, :value_bits, :quorum, "
            ":began, :deadline, NULL, :repeats, 'running', '', 1, '', :position, 0, :version, :version, :answers, "
            ":entries, :epoch)",
            facts["run"] | more,
        )
        db.executemany("INSERT INTO epoch VALUES (?, ?, ?)", [(name, *row) for row in facts["epochs"]])
        db.executemany("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)", [(name, *_raw(row)) for row in self._answers])
        rows = [(name, *_raw(row)) for row in self._entries]
        db.executemany("INSERT INTO receipt VALUES (?, ?, ?, ?, ?)", rows)
        db.executemany("INSERT INTO turn VALUES (?, ?, ?, ?, ?)", [(name, *_raw(row)) for row in facts["turn"]])
        db.executemany("INSERT INTO upload VALUES (?, ?, ?, ?)", [(name, *_raw(row)) for row in facts["uploads"]])
        rows = [(name, *_raw(row)) for row in self._packages]
        db.executemany("INSERT INTO package VALUES (?, ?, ?, ?)", rows)
        if self._machine is not None:
            batch.put(name, self._machine)
        for row in facts["outbox"]:
            recipient, frame, payload, shared = _raw(row)
            batch.post(run, recipient, frame, () if payload is None else (payload,), shared=shared)
        RunRecords(db).burn(run)


def _clear(batch: JournalBatch, run: UUID) -> None:
    """Delete a run from the journal, with its machine's state; the next state overwrites the key."""
    db, name = batch.connection, str(run)
    for statement in (
        "DELETE FROM run WHERE run = ?",
        "DELETE FROM epoch WHERE run = ?",
        "DELETE FROM answer WHERE run = ?",
        "DELETE FROM receipt WHERE run = ?",
        "DELETE FROM turn WHERE run = ?",
        "DELETE FROM upload WHERE run = ?",
        "DELETE FROM package WHERE machine = ?",
    ):
        db.execute(statement, (name,))
    batch.retract(run)


def _stored(db: sqlite3.Connection, run: UUID) -> int:
    row = db.execute("SELECT stored FROM run WHERE run = ?", (str(run),)).fetchone()
    return -1 if row is None else int(row[0])


def _payload(path: Path | None) -> str | None:
    return None if path is None else _plain_value(path.read_bytes())


def _plain(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [[_plain_value(value) for value in row] for row in rows]


def _plain_value(value: Any) -> Any:
    """Return a JSON value; bytes become a list with their base64 text."""
    return [b64encode(value).decode()] if isinstance(value, bytes) else value


def _raw(row: list[Any]) -> list[Any]:
    return [b64decode(value[0]) if isinstance(value, list) else value for value in row]
