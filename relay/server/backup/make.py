"""Makes a backup of a running relay, and removes old backups.

Spec: operations §5. The database is copied from one consistent snapshot (SQLite's online backup, or pg_dump with an
exported snapshot), then the payloads marked complete in it, whose bytes never change and whose digests it holds.
"""

import asyncio
import fcntl
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any
from uuid import UUID

import pyrage
from sqlalchemy import URL, Connection, func, inspect, select, table, text

from relay.api.wire import to_base64url
from relay.server.backup.archive import ArchiveWriter, BackupError, writing
from relay.server.core.checkpoint import KEY_FILE, signing_key
from relay.server.core.config import FILE_NAME, RelayConfig
from relay.server.payloads.folder import BlobFolder
from relay.server.store import audit, epochs, migrate, milestones, schema
from relay.server.store.connect import connect
from relay.server.store.offline import keep_idle, on_database, over_view
from relay.service.folders import private_folder, sync_folder
from secagg import __version__
from secagg.errors import ParameterError

FORMAT = 1
LABEL = "relay-backup"
MANIFEST = "manifest.json"
SQLITE, POSTGRES = "database.sqlite", "database.dump"
PAYLOADS = "payloads/"

_NAME = re.compile(r"^relay-(\d{8}T\d{6}Z)\.tar(?:\.age)?$")
_STAMP = "%Y%m%dT%H%M%SZ"
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Payload:
    """A complete payload: ID, size in bytes and SHA-256."""

    id: UUID
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """Facts about one snapshot of the database.

    Attributes:
        described: the manifest's content: schema, epoch, number of rows per table, entries and head of the audit log.
        payloads: complete payloads.
    """

    described: dict[str, Any]
    payloads: tuple[Payload, ...]


def recipients_of(texts: list[str]) -> list[Any]:
    """Parse age recipients; raises ParameterError for an invalid one."""
    try:
        return [pyrage.x25519.Recipient.from_str(text_) for text_ in texts]
    except pyrage.RecipientError:
        raise ParameterError(
            "a backup recipient starts with age1; generate a key pair with: secagg-relay backup-key"
        ) from None


def make(settings: RelayConfig, folder: Path, recipients: list[Any]) -> dict[str, Any]:
    """Make a backup in a folder and return its facts, with `file` and `bytes`.

    Payloads that differ from what was uploaded do not stop the backup; they are listed as `rotten`.

    Args:
        settings: settings of the relay, which may keep serving.
        folder: folder for backups, created if missing.
        recipients: age recipients; if empty, the backup is not encrypted.

    Raises:
        BackupError: the database cannot be copied.
        OSError: the disk is full, or the folder cannot be written.
    """
    private_folder(folder)
    name = f"relay-{datetime.now(UTC).strftime(_STAMP)}.tar{'.age' if recipients else ''}"
    with _copied(settings) as (copy, facts), writing(folder / name, recipients) as archive:
        manifest = {
            "format": FORMAT,
            "version": __version__,
            "made": int(time.time()),
            "database": archive.add(copy.name, copy),
            **facts.described,
            "payloads": len(facts.payloads),
            **asyncio.run(_add_payloads(settings, archive, facts.payloads)),
        }
        archive.add_bytes(MANIFEST, _signed(settings, manifest))
    sync_folder(folder)

    def note(db: Connection) -> None:
        milestones.reach(db, milestones.BACKUP, now=time.time(), detail=name)
        audit.append(db, actor=audit.OPERATOR, action="backup.made", on=f"backup/{name}", epoch=manifest["epoch"])

    on_database(settings, note)
    return manifest | {"file": str(folder / name), "bytes": (folder / name).stat().st_size}


def expire(folder: Path, *, keep: int, days: int, now: float) -> list[str]:
    """Remove backups that are neither among the newest `keep` nor younger than `days`; returns their names."""
    found = sorted((path for path in folder.iterdir() if _NAME.match(path.name)), key=lambda path: path.name)
    old = [path for path in found[:-keep] if _made(path) < now - days * _DAY_S]
    for path in old:
        path.unlink()
    return [path.name for path in old]


def describe(db: Connection) -> BackupFacts:
    """Collect the facts to compare after a restore."""
    entries, head = audit.head(db)
    epoch = epochs.current(db)
    blob = schema.blob
    complete = select(blob.c.id, blob.c.size, blob.c.digest).where(blob.c.complete.is_(True)).order_by(blob.c.id)
    return BackupFacts(
        count(db)
        | {
            "epoch": None if epoch is None else str(epoch.id),
            "audit": {"entries": entries, "head": head.hex()},
        },
        tuple(Payload(row.id, row.size, row.digest) for row in db.execute(complete)),
    )


def count(db: Connection) -> dict[str, Any]:
    """Return the schema of a database, possibly of another release, and the number of rows in each table."""
    names = sorted(set(inspect(db).get_table_names()) - {migrate.VERSION_TABLE})
    rows = {name: db.scalar(select(func.count()).select_from(table(name))) for name in names}
    return {"schema": migrate.revision(db), "rows": rows}


def describe_file(path: Path) -> BackupFacts:
    """Collect the same facts from a copy of an SQLite database."""

    async def look() -> BackupFacts:
        database = connect(URL.create("sqlite", database=str(path)), connections=1)
        try:
            return await database.read(describe)
        finally:
            await database.close()

    return asyncio.run(look())


@contextmanager
def _copied(settings: RelayConfig) -> Iterator[tuple[Path, BackupFacts]]:
    """Copy the database into the data folder, which is as private as the database; the copy is removed afterwards."""
    with _alone(settings.data):
        work = private_folder(settings.data / "backup.work")
        copy = work / (SQLITE if settings.database is None else POSTGRES)
        try:
            yield copy, _copy_sqlite(settings, copy) if settings.database is None else _copy_postgres(settings, copy)
        finally:
            shutil.rmtree(work)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    handle = os.open(private_folder(data) / "backup.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BackupError("another backup of this relay is in progress; wait for it to finish") from None
    finally:
        os.close(handle)


def _copy_sqlite(settings: RelayConfig, copy: Path) -> BackupFacts:
    source = settings.data / FILE_NAME
    if not source.exists():
        raise ParameterError(f"{settings.data} contains no relay; give its folder as --data")
    copy.touch(mode=0o600)
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(copy)) as mine,
        ):
            live.backup(mine)  # in one step, from one snapshot; writers are not blocked
        facts = describe_file(copy)
        with closing(sqlite3.connect(copy)) as mine:
            mine.execute("PRAGMA journal_mode=DELETE")  # a single file without a separate log
    except sqlite3.Error as error:
        raise BackupError(f"the database cannot be copied: {error}") from None
    return facts


def _copy_postgres(settings: RelayConfig, copy: Path) -> BackupFacts:
    def work(db: Connection) -> BackupFacts:
        keep_idle(db)  # pg_dump may take a long time
        snapshot = db.scalar(text("SELECT pg_export_snapshot()"))
        postgres_tool(
            "pg_dump",
            settings.database_url,
            "--format=custom",
            "--no-owner",
            f"--snapshot={snapshot}",
            f"--file={copy}",
        )
        return describe(db)

    return over_view(settings, work)


def postgres_tool(program: str, url: URL, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs on a database; the password goes into its environment, not its arguments.

    Raises:
        BackupError: it is not installed or failed; the message includes its output.
    """
    named = {"ssl": "sslmode"}
    query = {named.get(name, name): value for name, value in url.query.items()}
    plain = url.set(drivername="postgresql", password=None, query=query).render_as_string()
    environment = os.environ | ({} if url.password is None else {"PGPASSWORD": str(url.password)})
    try:
        subprocess.run(  # noqa: S603
            [program, *arguments, f"--dbname={plain}"], env=environment, check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise BackupError(f"{program} is not installed; it is part of PostgreSQL's client programs") from None
    except subprocess.CalledProcessError as error:
        raise BackupError(f"{program} failed: {error.stderr.strip()[-300:]}") from None


async def _add_payloads(
    settings: RelayConfig, archive: ArchiveWriter, payloads: tuple[Payload, ...]
) -> dict[str, list[str]]:
    """Add the payloads' bytes; returns the IDs of those removed since the database was copied, and of rotten ones.

    Payloads in an object store stay there: such stores have their own versioning and copies.
    """
    if settings.objects is not None:
        return {"gone": [str(payload.id) for payload in payloads], "rotten": []}
    blobs = BlobFolder(settings.data / "blobs")
    gone, rotten = [], []
    for payload in payloads:
        if not await blobs.holds(payload.id):
            gone.append(str(payload.id))
            continue
        digest = await archive.add_pieces(
            f"{PAYLOADS}{payload.id}", payload.size, blobs.read(payload.id, (), 0, payload.size)
        )
        if digest != payload.digest:
            rotten.append(str(payload.id))
    return {"gone": gone, "rotten": rotten}


def _signed(settings: RelayConfig, manifest: dict[str, Any]) -> bytes:
    identity = signing_key(settings.data / KEY_FILE)
    said = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    proof = to_base64url(identity.sign(LABEL, said.encode()))
    return json.dumps({"manifest": said, "public": to_base64url(identity.public), "proof": proof}).encode()


def _made(path: Path) -> float:
    match = _NAME.match(path.name)
    assert match is not None
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC).timestamp()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
