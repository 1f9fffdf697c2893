"""Restores a backup: checks everything before the files get their names, then starts a new epoch.

Spec: operations §3 and §5. The relay's user may own nothing but its data folder, so all work happens inside it. A
failed restore leaves nothing behind, neither in the folder nor in the database.
"""

import asyncio
import json
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pyrage
from sqlalchemy import Connection, MetaData

from relay.api.states import Ending
from relay.api.wire import from_base64url, to_base64url
from relay.server.backup import ended_keys, make
from relay.server.backup.archive import BackupError, reading
from relay.server.core.config import FILE_NAME, RelayConfig
from relay.server.payloads.folder import BlobFolder
from relay.server.store import audit, migrate, restored
from relay.server.store.connect import connect
from relay.server.store.offline import on_database, over_view
from relay.service.folders import private_folder, sync_folder
from secagg.errors import ParameterError
from secagg.identity import InvalidSignatureError, verify

_PIECE = 4 << 20
_WORK = ".restoring"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """The content that a backup claims to hold, and the key of the relay that signed it."""

    says: Mapping[str, Any]
    key: bytes


def identities_of(path: Path) -> list[Any]:
    """Read a file of age identities; raises ParameterError if it has none."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise ParameterError(f"{path} holds no backup key; expected a line starting with AGE-SECRET-KEY-1")
    return found


def restore(
    file: Path,
    settings: RelayConfig,
    identities: list[Any],
    *,
    key: bytes | None,
    ended: dict[bytes, Ending],
    keep: bool,
) -> dict[str, Any]:
    """Restore a backup, check all of it, and start a new relay epoch.

    Args:
        file: path of the backup.
        settings: settings of the new relay; its data folder, and its PostgreSQL database if any, are still empty.
        identities: age identities, one of which must open the backup.
        key: the key that must have signed the backup; None for any.
        ended: keys that ended after the backup was made, to be ended again.
        keep: whether to keep the result; False only checks and leaves nothing behind.

    Returns:
        What was restored and what was voided.

    Raises:
        BackupError: something differs from what the backup claims.
        ParameterError: the destination is not empty.
    """
    _require_room(settings)
    with _room(settings, keep=keep) as mine:
        manifest = _unpack(file, mine, identities)
        if key is not None and manifest.key != key:
            raise BackupError(f"the backup was signed by {to_base64url(manifest.key)}, not by the given key")
        _fill_database(mine, manifest)
        _compare(mine, manifest)
        again, voided = _begin_anew(mine, file, ended)
    says = manifest.says
    rotten = says.get("rotten", [])
    return {
        "made": says["made"],
        "signed_by": to_base64url(manifest.key),
        "rows": says["rows"],
        "payloads": says["payloads"] - len(says["gone"]) - len(rotten),
        "rotten": rotten,
        "audit_entries": says["audit"]["entries"],
        "epoch": str(voided.epoch.id),
        "failed_runs": voided.runs,
        "revoked_tokens": voided.tokens,
        "forgotten_nonces": voided.nonces,
        "ended_keys": again,
    }


def _require_room(settings: RelayConfig) -> None:
    if settings.data.exists() and any(path.name != _WORK for path in settings.data.iterdir()):
        raise ParameterError(f"{settings.data} is not empty; restore into a new folder")
    if settings.database is not None and _on_any(settings, _tables).tables:
        raise ParameterError("the database is not empty; restore into a new one: createdb")


@contextmanager
def _room(settings: RelayConfig, *, keep: bool) -> Iterator[RelayConfig]:
    """Work in a subfolder of the data folder; at the end move its content up, or leave everything as it was."""
    made = not settings.data.exists()
    folder = private_folder(settings.data) / _WORK
    shutil.rmtree(folder, ignore_errors=True)
    kept = False
    try:
        yield settings.model_copy(update={"data": private_folder(folder)})
        if keep:
            _move_up(folder)
            kept = True
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not kept:
            _leave_nothing(settings, folder=made)


def _move_up(folder: Path) -> None:
    for path in sorted(folder.iterdir(), key=lambda path: path.name == FILE_NAME):  # the database last
        path.rename(folder.parent / path.name)
    sync_folder(folder.parent)


def _leave_nothing(settings: RelayConfig, *, folder: bool) -> None:
    """Drop what was added to the database, which was empty, and the folder if it did not exist."""
    if folder:
        settings.data.rmdir()
    if settings.database is not None:
        _on_any(settings, lambda db: _tables(db).drop_all(db))


def _tables(db: Connection) -> MetaData:
    """Return the tables in a database, whatever its schema."""
    found = MetaData()
    found.reflect(db)
    return found


def _on_any(settings: RelayConfig, work: Callable[[Connection], T]) -> T:
    """Run a function on a database, whatever its schema."""

    async def run() -> T:
        database = connect(settings.database_url, wait_s=settings.database_wait_s, connections=1)
        try:
            return await database.alone(work)
        finally:
            await database.close()

    return asyncio.run(run())


def _unpack(file: Path, settings: RelayConfig, identities: list[Any]) -> BackupManifest:
    """Write the members to their places; the manifest is the last one."""
    blobs = BlobFolder(settings.data / "blobs")
    found: bytes | None = None
    with reading(file, identities) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or found is not None:
                raise BackupError(f"unexpected member {member.name!r} in the backup")
            if member.name == make.MANIFEST:
                found = content.read()
            elif member.name in {make.SQLITE, make.POSTGRES}:
                _write(settings.data / member.name, content)
            else:
                asyncio.run(_write_payload(blobs, _payload_id(member), content))
    if found is None:
        raise BackupError("the backup is truncated: the manifest at its end is missing")
    return _read_manifest(found)


def _payload_id(member: tarfile.TarInfo) -> UUID:
    try:
        return UUID(member.name.removeprefix(make.PAYLOADS))
    except ValueError:
        raise BackupError(f"unexpected member {member.name!r} in the backup") from None


def _write(path: Path, content: Any) -> None:
    path.touch(mode=0o600)
    with path.open("wb") as out:
        shutil.copyfileobj(content, out, _PIECE)


async def _write_payload(blobs: BlobFolder, blob: UUID, content: Any) -> None:
    offset = 0
    async with blobs.writing(blob) as writer:
        while piece := content.read(_PIECE):
            await writer.write(offset, piece)
            offset += len(piece)


def _read_manifest(data: bytes) -> BackupManifest:
    try:
        outer = json.loads(data)
        key = from_base64url(outer["public"])
        verify(key, make.LABEL, outer["manifest"].encode(), from_base64url(outer["proof"]))
        says = json.loads(outer["manifest"])
        if says["format"] != make.FORMAT:
            raise BackupError(f"the backup has format {says['format']}, which this release cannot read")
    except (InvalidSignatureError, ValueError, KeyError, TypeError, AttributeError):
        raise BackupError("the backup's manifest is not signed by the relay that it names") from None
    return BackupManifest(says, key)


def _fill_database(settings: RelayConfig, manifest: BackupManifest) -> None:
    kind = make.SQLITE if settings.database is None else make.POSTGRES
    copy = settings.data / kind
    if not copy.exists():
        raise BackupError(f"the backup contains another kind of database; this relay's settings expect {kind}")
    if make.digest_of(copy) != manifest.says["database"]:
        raise BackupError("the database in the backup is not the one that the manifest describes")
    if settings.database is None:
        _check_sqlite(copy)
        copy.rename(settings.data / FILE_NAME)
        return
    make.postgres_tool(
        "pg_restore", settings.database_url, "--no-owner", "--exit-on-error", "--single-transaction", str(copy)
    )
    copy.unlink()


def _check_sqlite(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as db:
            (said,) = db.execute("PRAGMA integrity_check").fetchone()
            orphans = db.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        said, orphans = str(error), []
    if said != "ok" or orphans:
        raise BackupError(f"the database in the backup is damaged: {said}, {len(orphans)} rows violate a foreign key")


def _compare(settings: RelayConfig, manifest: BackupManifest) -> None:
    """Compare the restored content with the manifest, upgrading an older schema in between.

    Tables are counted as they arrived, since this release may have others; all else is read in this release's schema.
    """
    _require_same(manifest, _on_any(settings, make.count))
    asyncio.run(migrate.prepare(settings))
    facts = over_view(settings, make.describe)
    _require_same(manifest, {name: facts.described[name] for name in ("epoch", "audit")})
    asyncio.run(_compare_payloads(settings, facts, {*manifest.says["gone"], *manifest.says.get("rotten", ())}))
    over_view(settings, audit.verify)


def _require_same(manifest: BackupManifest, found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        was = manifest.says.get(name)
        if value != was:
            raise BackupError(f"{name} differs from the manifest: {value}, not {was}")


async def _compare_payloads(settings: RelayConfig, facts: make.BackupFacts, known: set[str]) -> None:
    """Check the payloads except those already known as gone or rotten when the backup was made."""
    blobs = BlobFolder(settings.data / "blobs")
    for payload in facts.payloads:
        if str(payload.id) in known:
            continue
        if not await blobs.holds(payload.id) or await blobs.digest(payload.id, ()) != payload.digest:
            raise BackupError(f"payload {payload.id} is missing from the backup or damaged")


def _begin_anew(settings: RelayConfig, file: Path, ended: dict[bytes, Ending]) -> tuple[int, restored.Voided]:
    """Void what the old epoch left open, then end the keys, whose runs have by then failed like all others."""

    def work(db: Connection) -> tuple[int, restored.Voided]:
        now = time.time()
        voided = restored.void(db, cause=f"backup {file.name}"[:100], now=now)
        return ended_keys.end(db, ended, now=now), voided

    return on_database(settings, work)
