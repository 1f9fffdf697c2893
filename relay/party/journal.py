"""The durable journal of a party: machine states, the outbox, and the read position.

Fetch, step, commit, send: a state, the frames and payloads produced by the same step, and the read position are
committed in one transaction before the first byte leaves, so that a process killed at any point repeats bytes and never
re-randomises. States are sealed under a key that changes with every transition and lives in a separate file: deleting
a row from a database erases nothing, but overwriting 32 bytes makes every older copy of the state useless.

A machine's key file has two slots. A transition from generation g writes the key of g + 1 to the other slot, commits
the journal, and then overwrites the old key. If the journal is at the generation of either slot on start, a transition
was interrupted and the other slot is overwritten; any other generation means a restored journal, which must not be
used.

Restoring the whole folder restores its keys too. To detect this, a party may keep an anchor: a file elsewhere, outside
all backups, with the number of committed transactions. It is written after a commit, before any of it is sent. A
journal with fewer transactions than its anchor states is an old one.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from relay.party.migrations import Migrations, NewerTablesError, migrate, pending, version
from relay.service.crashpoints import crashpoint
from relay.service.folders import private_folder, sync_folder
from secagg.errors import SecaggError

FILE_NAME = "journal.sqlite"
COPY_NAME = "journal.before-upgrade-{}.sqlite"
"""Name of the copy that an upgrade keeps; the number is the journal's before it."""

# Tables of every journal; a change of them is a migration of both parties.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (
    name       TEXT PRIMARY KEY,           -- the run's ID
    generation INTEGER NOT NULL,           -- counts transitions; names the key that seals the state
    sealed     BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    run        TEXT NOT NULL,
    recipient  BLOB,                       -- a site's key; NULL for all
    frame      BLOB NOT NULL,
    payload    TEXT,                       -- name of the spool file with the payload: its SHA-256 in hex
    shared     INTEGER NOT NULL            -- the payload is for all, though the frame is for one
) STRICT;
CREATE TABLE IF NOT EXISTS position (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    message    INTEGER NOT NULL            -- ID of the last message from the relay that was dealt with
) STRICT;
INSERT OR IGNORE INTO position VALUES (1, 0);
CREATE TABLE IF NOT EXISTS commits (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    number     INTEGER NOT NULL            -- of transactions so far; never goes back
) STRICT;
INSERT OR IGNORE INTO commits VALUES (1, 0);
"""
_ANCHOR_BYTES = 8 + 8  # number, checksum
_SLOT_BYTES = 8 + SecretBox.KEY_SIZE + 8  # generation, key, checksum against a torn write


class JournalError(SecaggError):
    """The journal cannot be used; the message says what to do."""


class NewerJournalError(JournalError):
    """A newer release wrote the journal; nothing was changed."""


class RestoredStateError(JournalError):
    """A state is not the last one committed: it was restored from a copy, and its epoch must not be used again.

    Attributes:
        run: run to which the state belongs, if it was the relay that noticed.
    """

    def __init__(self, reason: str, *, run: UUID | None = None) -> None:
        self.run = run
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame that the relay has not acknowledged yet."""

    id: int
    run: UUID
    recipient: bytes | None
    frame: bytes = field(repr=False)
    payload: Path | None
    payload_for: bytes | None


class Journal:
    """The journal in a folder. Commands may read it and add to it while a daemon runs; only the daemon holds the lock.

    Args:
        folder: folder of this party alone.
        tables: migrations of the party's own tables; empty if its tables are not needed.
        anchor: file outside the folder that reveals a restored folder; None for no anchor.

    Raises:
        NewerJournalError: a newer release wrote the journal.
        JournalError: the journal is damaged, or a process of an earlier release still uses it.
    """

    def __init__(self, folder: Path, tables: Migrations, anchor: Path | None = None) -> None:
        self._folder = private_folder(folder)
        self._spool = private_folder(folder / "spool")
        self._keys = private_folder(folder / "keys")
        os.close(os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would use the umask
        self.connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None, timeout=30)
        try:
            waiting = pending(self.connection, tables)  # first: a newer journal is not touched at all
            is_new = not self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA foreign_keys = ON")
            self.connection.executescript(_SCHEMA)
            if waiting:
                self._upgrade(tables, keep=not is_new)
        except sqlite3.OperationalError:  # in use, or the disk is full: not the file's fault
            self.connection.close()
            raise
        except NewerTablesError as error:
            self.connection.close()
            raise NewerJournalError(
                f"{folder / FILE_NAME} cannot be used: {error}. Nothing was changed; install that release"
            ) from None
        except sqlite3.DatabaseError as error:
            self.connection.close()
            raise self._damaged(str(error)) from None
        except BaseException:
            self.connection.close()
            raise
        self._lock: int | None = None
        self._anchor = None if anchor is None else _Anchor(anchor)
        self._set_back = False
        self._held: set[str] = set()

    def _upgrade(self, tables: Migrations, *, keep: bool) -> None:
        """Run the pending migrations in one transaction, after a copy of the journal unless it is new."""
        self.connection.execute("BEGIN IMMEDIATE")  # a daemon and a command may open it simultaneously
        try:
            if keep and pending(self.connection, tables):
                # A running process of the earlier release would go on with tables that are no longer its own.
                os.close(
                    self._locked("lock", fcntl.LOCK_EX, f"a process of an earlier release is using {self._folder}")
                )
                self._keep_copy(version(self.connection))
            migrate(self.connection, tables)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def _keep_copy(self, seen: int) -> None:
        """Copy the journal, as it was before the open transaction, to a file of its own; older copies go.

        What such a copy says about running epochs is sealed under keys that later transitions overwrite.
        """
        target = self._folder / COPY_NAME.format(seen)
        fresh = target.with_suffix(".new")
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with closing(sqlite3.connect(self._folder / FILE_NAME)) as source, closing(sqlite3.connect(fresh)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file without a log beside it
        fresh.replace(target)
        sync_folder(self._folder)
        for older in self._folder.glob(COPY_NAME.format("*")):
            if older != target:
                older.unlink()

    def close(self) -> None:
        self.connection.close()
        if self._lock is not None:
            os.close(self._lock)

    def lock(self) -> None:
        """Lock the folder for this process until it ends.

        Raises:
            JournalError: another process holds the folder or a machine in it, or the database is damaged.
        """
        self._lock = self._locked("lock", fcntl.LOCK_EX, f"another process is using {self._folder}")
        try:
            (said,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError:  # in use, or the disk fails: not the file's fault
            raise
        except sqlite3.DatabaseError as error:
            said = str(error)
        if said != "ok":
            raise self._damaged(said)
        if self._anchor is not None:
            self._set_back = self._anchor.is_ahead(self._commits())
            self._anchor.write(self._commits())
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self._remove_leftovers()
        finally:
            self.connection.execute("ROLLBACK")

    def _remove_leftovers(self) -> None:
        """Remove payloads and keys of a transaction that ended between the database and these files.

        Only inside a transaction: nobody else's may be under way.
        """
        kept = {name for (name,) in self.connection.execute("SELECT payload FROM outbox WHERE payload IS NOT NULL")}
        for payload in self._spool.iterdir():
            if payload.name not in kept:
                payload.unlink()
        machines = set(self.machines())
        for keys in self._keys.iterdir():
            if keys.suffix != ".lock" and keys.name not in machines:
                _KeySlots(keys).destroy()

    def _damaged(self, said: str) -> JournalError:
        return JournalError(
            f"{self._folder / FILE_NAME} is damaged: {said.splitlines()[-1]}. It was left unchanged: move the folder "
            "away and start again from a backup of the key; the open epochs are lost"
        )

    @contextmanager
    def hold(self, machine: str) -> Iterator[None]:
        """Lock one machine, which need not exist yet, and leave the others to other processes.

        Raises:
            JournalError: another process holds it, or the whole folder.
        """
        folder = self._locked("lock", fcntl.LOCK_SH, f"another process has locked {self._folder}")
        try:
            name = f"keys/{machine}.lock"
            own = self._locked(name, fcntl.LOCK_EX, f"another process on this machine is working on run {machine}")
            self._held.add(machine)
            try:
                yield
            finally:
                self._held.discard(machine)
                os.close(own)
        finally:
            os.close(folder)

    def is_held(self, machine: str) -> bool:
        """Return whether a process works on a machine at this moment."""
        try:
            with self.hold(machine):
                return False
        except JournalError:
            return True

    def _locked(self, name: str, kind: int, complaint: str) -> int:
        handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise JournalError(f"{complaint}; stop it first: an identity belongs to one daemon") from None
        return handle

    def _commits(self) -> int:
        return int(self.connection.execute("SELECT number FROM commits").fetchone()[0])

    @property
    def position(self) -> int:
        """ID of the last message that was processed."""
        return int(self.connection.execute("SELECT message FROM position").fetchone()[0])

    def machines(self) -> list[str]:
        """Return the names of all machines, sorted."""
        return [row[0] for row in self.connection.execute("SELECT name FROM machine ORDER BY name")]

    def state(self, name: str) -> bytes:
        """Return the state of one of `machines`. The process must hold its lock or that of the folder.

        Raises:
            RestoredStateError: it is not the last state committed.
            JournalError: this process does not hold the lock.
        """
        if self._lock is None and name not in self._held:
            raise JournalError("only the process that holds the journal's lock may read and change states")
        if self._set_back:
            raise RestoredStateError(f"the folder was restored from a copy; the epoch of run {name} cannot continue")
        row = self.connection.execute("SELECT generation, sealed FROM machine WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise JournalError(f"the journal has no machine {name}")
        generation, sealed = row
        slots = _KeySlots(self._keys / name)
        key = slots.keys().get(generation)
        if key is None:
            raise RestoredStateError(f"the state of run {name} was restored from a copy; its epoch cannot continue")
        for other in slots.keys().keys() - {generation}:
            slots.erase(other)
        try:
            return SecretBox(key).decrypt(sealed)
        except CryptoError:
            raise RestoredStateError(f"the state of run {name} is not the last one committed") from None

    @contextmanager
    def transaction(self) -> Iterator["JournalBatch"]:
        """Collect changes and commit them together, or not at all if the block raises."""
        batch = JournalBatch(self.connection, self._spool, self._keys)
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield batch
            self.connection.execute("UPDATE commits SET number = number + 1")
            number = self._commits()
        except BaseException:
            self._roll_back()
            batch.discard()
            raise
        crashpoint("journal-before-commit")
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error:  # the spool is left alone: if the disk failed, a restart may still find the commit
            self._roll_back()
            raise
        crashpoint("journal-after-commit")
        if self._anchor is not None and self._lock is not None:
            self._anchor.write(number)
            crashpoint("journal-anchored")
        batch.settle()

    def _roll_back(self) -> None:
        if self.connection.in_transaction:  # SQLite itself ends some that a full disk interrupts
            self.connection.execute("ROLLBACK")

    def revive(self) -> None:
        """Try whether the disk takes writes again after it refused one; raises what the disk raises.

        A machine's state in memory may be older than the journal's afterwards, and must be read again.
        """
        self._roll_back()
        with self.transaction():
            self._remove_leftovers()

    def outgoing(self, run: UUID | None = None) -> list[Outgoing]:
        """Return the frames still to be sent, for one run or all, oldest first."""
        rows = self.connection.execute(
            "SELECT id, run, recipient, frame, payload, shared FROM outbox WHERE ?1 IS NULL OR run = ?1 ORDER BY id",
            (None if run is None else str(run),),
        )
        return [
            Outgoing(number, UUID(run), to, frame, self._spool / payload if payload else None, None if shared else to)
            for number, run, to, frame, payload, shared in rows
        ]

    def delivered(self, outgoing: Outgoing) -> None:
        """Remove a frame that the relay has acknowledged."""
        self.connection.execute("DELETE FROM outbox WHERE id = ?", (outgoing.id,))
        if outgoing.payload is not None and not self._is_waiting(outgoing.payload.name):
            outgoing.payload.unlink(missing_ok=True)

    def _is_waiting(self, payload: str) -> bool:
        return self.connection.execute("SELECT 1 FROM outbox WHERE payload = ?", (payload,)).fetchone() is not None


class JournalBatch:
    """The changes of one transaction. `connection` is for a party's own tables."""

    def __init__(self, connection: sqlite3.Connection, spool: Path, keys: Path) -> None:
        self.connection = connection
        self._spool = spool
        self._keys = keys
        self._put: set[str] = set()
        self._written: list[Path] = []
        self._superseded: list[tuple[_KeySlots, int]] = []
        self._dropped: list[Path] = []

    def put(self, name: str, state: bytes) -> None:
        """Set a machine's state, sealed under a fresh key; at most once per transaction, as there are two key slots."""
        if name in self._put:
            raise JournalError(f"the state of {name} is set twice in one transaction")
        self._put.add(name)
        row = self.connection.execute("SELECT generation FROM machine WHERE name = ?", (name,)).fetchone()
        generation = row[0] if row else 0
        key = os.urandom(SecretBox.KEY_SIZE)
        slots = _KeySlots(self._keys / name)
        slots.put(generation + 1, key)
        self.connection.execute(
            "INSERT INTO machine VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET generation = ?2, sealed = ?3",
            (name, generation + 1, bytes(SecretBox(key).encrypt(state))),
        )
        self._superseded.append((slots, generation))

    def drop(self, name: str) -> None:
        """Remove a machine and its key."""
        self.connection.execute("DELETE FROM machine WHERE name = ?", (name,))
        self._dropped.append(self._keys / name)

    def post(
        self, run: UUID, recipient: bytes | None, frame: bytes, payload: Iterable[bytes] = (), *, shared: bool = False
    ) -> None:
        """Put a frame into the outbox and its payload, if any, into the spool; frames may share a payload."""
        self.connection.execute(
            "INSERT INTO outbox (run, recipient, frame, payload, shared) VALUES (?, ?, ?, ?, ?)",
            (str(run), recipient, frame, self._spooled(payload), shared),
        )

    def retract(self, run: UUID) -> None:
        """Drop everything that a run still has to send."""
        self.connection.execute("DELETE FROM outbox WHERE run = ?", (str(run),))

    def read_to(self, message: int) -> None:
        """Record that messages up to this ID were processed."""
        self.connection.execute("UPDATE position SET message = ?", (message,))

    def settle(self) -> None:
        """Overwrite the keys of states that no longer exist; called after the commit."""
        for slots, generation in self._superseded:
            slots.erase(generation)
        for path in self._dropped:
            _KeySlots(path).destroy()

    def discard(self) -> None:
        """Remove what was written outside the database; called after a rollback."""
        for path in self._written:
            path.unlink(missing_ok=True)

    def _spooled(self, payload: Iterable[bytes]) -> str | None:
        parts = list(payload)
        digest = sha256()
        for part in parts:
            digest.update(part)
        path = self._spool / digest.hexdigest()
        if not any(parts):
            return None
        if not path.exists():
            fresh = path.with_suffix(".new")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
            sync_folder(self._spool)
            self._written.append(path)
        return path.name


class _KeySlots:
    """A file with two slots; generation g lives in slot g mod 2."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keys(self) -> dict[int, bytes]:
        """Return the keys present, by generation."""
        if not self._path.exists():
            return {}
        content = self._path.read_bytes()
        found = {}
        for at in (0, _SLOT_BYTES):
            slot = content[at : at + _SLOT_BYTES]
            if len(slot) == _SLOT_BYTES and _checksum(slot[:-8]) == slot[-8:] and any(slot[8:-8]):
                found[int.from_bytes(slot[:8], "big")] = slot[8:-8]
        return found

    def put(self, generation: int, key: bytes) -> None:
        self._write(generation, key)

    def erase(self, generation: int) -> None:
        """Overwrite the slot of a generation, if the slot holds that generation."""
        if generation in self.keys():
            self._write(generation, bytes(SecretBox.KEY_SIZE))

    def destroy(self) -> None:
        if self._path.exists():
            for generation in self.keys():
                self.erase(generation)
            self._path.unlink(missing_ok=True)

    def _write(self, generation: int, key: bytes) -> None:
        slot = generation.to_bytes(8, "big") + key
        new = not self._path.exists()
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(handle, slot + _checksum(slot), (generation % 2) * _SLOT_BYTES)
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            sync_folder(self._path.parent)


class _Anchor:
    """The number of a journal's transactions, in a file that is not restored with the journal."""

    def __init__(self, path: Path) -> None:
        private_folder(path.parent)
        self._path = path

    def is_ahead(self, number: int) -> bool:
        """Return whether the journal once had more transactions; an incomplete file counts as yes."""
        if not self._path.exists():
            return number > 0  # removed or new: adding an anchor later loses the open epochs
        content = self._path.read_bytes()
        whole = len(content) == _ANCHOR_BYTES and _checksum(content[:8]) == content[8:]
        return not whole or int.from_bytes(content[:8], "big") > number

    def write(self, number: int) -> None:
        new = not self._path.exists()
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            content = number.to_bytes(8, "big")
            os.pwrite(handle, content + _checksum(content), 0)
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            sync_folder(self._path.parent)


def _checksum(content: bytes) -> bytes:
    return sha256(content).digest()[:8]
