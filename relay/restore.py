"""Restoring a backup: everything is checked before the relay's folder gets its name, and the new life begins voided.

Spec: operations §3 and §5. Half a restore leaves a folder `<name>.restoring` behind and nothing else.
"""

import asyncio
import json
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pyrage
from sqlalchemy import Connection, inspect

from relay import backup, migrate
from relay.archive import BackupError, reading
from relay.blob_folder import BlobFolder
from relay.config import FILE_NAME, RelayConfig
from relay.outside import on_database, over_view
from relay.service.folders import private_folder, sync_folder
from relay.store import audit, restored
from relay.store.database import connect
from relay.wire import from_base64url, to_base64url
from secagg.errors import ParameterError
from secagg.identity import InvalidSignatureError, verify

_PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself, and the key of the relay that signed it."""

    says: Mapping[str, Any]
    key: bytes


def identities_of(path: Path) -> list[Any]:
    """Read a file of age identities; raises ParameterError where there is none in it."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise ParameterError(f"{path} holds no key of a backup; it has a line that begins with AGE-SECRET-KEY-1")
    return found


def restore(
    file: Path, settings: RelayConfig, identities: list[Any], *, key: bytes | None, keep: bool
) -> dict[str, Any]:
    """Restore a backup, check all of it, and begin a new epoch.

    Args:
        file: the backup.
        settings: of the relay to be; its data folder, and its PostgreSQL database if it has one, are still empty.
        identities: age identities, one of which opens the backup.
        key: the key that must have signed the backup; None for any.
        keep: False only checks, and leaves nothing behind.

    Returns:
        What was restored and what was voided.

    Raises:
        BackupError: something is not as the backup says it was.
        ParameterError: there is something already where the backup is to go.
    """
    _require_room(settings)
    folder = settings.data.with_name(f"{settings.data.name}.restoring")
    shutil.rmtree(folder, ignore_errors=True)
    mine = settings.model_copy(update={"data": private_folder(folder)})
    try:
        manifest = _unpack(file, mine, identities)
        if key is not None and manifest.key != key:
            raise BackupError(f"the backup is signed by {to_base64url(manifest.key)}, which is not the named key")
        _fill_database(mine, manifest)
        _compare(mine, manifest)
        voided = _begin_anew(mine, file)
        if keep:
            settings.data.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(settings.data, ignore_errors=True)  # it is empty
            folder.rename(settings.data)
            sync_folder(settings.data.parent)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    says = manifest.says
    return {
        "made": says["made"],
        "signed_by": to_base64url(manifest.key),
        "rows": says["rows"],
        "payloads": says["payloads"] - len(says["gone"]),
        "audit_entries": says["audit"]["entries"],
        "epoch": str(voided.epoch.id),
        "failed_runs": voided.runs,
        "revoked_tokens": voided.tokens,
        "forgotten_nonces": voided.nonces,
    }


def _require_room(settings: RelayConfig) -> None:
    if settings.data.exists() and any(settings.data.iterdir()):
        raise ParameterError(f"{settings.data} is not empty; a backup is restored into a folder of its own")
    if settings.database is not None and _tables(settings):
        raise ParameterError("the database is not empty; a backup is restored into a new one: createdb")


def _tables(settings: RelayConfig) -> list[str]:
    """Return the names of the tables in a database, whatever its schema."""

    async def look() -> list[str]:
        database = connect(settings.database_url, connections=1)
        try:
            return await database.read(lambda db: inspect(db).get_table_names())
        finally:
            await database.close()

    return asyncio.run(look())


def _unpack(file: Path, settings: RelayConfig, identities: list[Any]) -> Manifest:
    """Write the members where they belong; the manifest is the last."""
    blobs = BlobFolder(settings.data / "blobs")
    found: bytes | None = None
    with reading(file, identities) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or found is not None:
                raise BackupError(f"a backup has no member {member.name!r}")
            if member.name == backup.MANIFEST:
                found = content.read()
            elif member.name in {backup.SQLITE, backup.POSTGRES}:
                _write(settings.data / member.name, content)
            else:
                asyncio.run(_write_payload(blobs, _payload_id(member), content))
    if found is None:
        raise BackupError("the backup is cut off: it has no manifest at its end")
    return _read_manifest(found)


def _payload_id(member: tarfile.TarInfo) -> UUID:
    try:
        return UUID(member.name.removeprefix(backup.PAYLOADS))
    except ValueError:
        raise BackupError(f"a backup has no member {member.name!r}") from None


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


def _read_manifest(data: bytes) -> Manifest:
    try:
        outer = json.loads(data)
        key = from_base64url(outer["public"])
        verify(key, backup.LABEL, outer["manifest"].encode(), from_base64url(outer["proof"]))
        says = json.loads(outer["manifest"])
        if says["format"] != backup.FORMAT:
            raise BackupError(f"the backup has format {says['format']}, which this release does not read")
    except (InvalidSignatureError, ValueError, KeyError, TypeError, AttributeError):
        raise BackupError("the backup's manifest is not signed by the relay that it names") from None
    return Manifest(says, key)


def _fill_database(settings: RelayConfig, manifest: Manifest) -> None:
    kind = backup.SQLITE if settings.database is None else backup.POSTGRES
    copy = settings.data / kind
    if not copy.exists():
        raise BackupError(f"the backup is of another kind of database; this relay's settings expect {kind}")
    if backup.digest_of(copy) != manifest.says["database"]:
        raise BackupError("the database in the backup is not the one that was backed up")
    if settings.database is None:
        _check_sqlite(copy)
        copy.rename(settings.data / FILE_NAME)
        return
    backup.postgres_tool(
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
        raise BackupError(f"the database in the backup is damaged: {said}, {len(orphans)} rows without their parents")


def _compare(settings: RelayConfig, manifest: Manifest) -> None:
    """Compare what is there now with what the manifest says was there; then bring an older schema up to date."""
    facts = _described(settings)
    for name, was in manifest.says.items():
        if name in facts.described and facts.described[name] != was:
            raise BackupError(f"{name} in the database is not what was backed up: {facts.described[name]}, not {was}")
    asyncio.run(_compare_payloads(settings, facts, set(manifest.says["gone"])))
    asyncio.run(migrate.prepare(settings))
    over_view(settings, audit.verify)


def _described(settings: RelayConfig) -> backup.Facts:
    if settings.database is None:
        return backup.describe_file(settings.data / FILE_NAME)
    return over_view(settings, backup.describe)


async def _compare_payloads(settings: RelayConfig, facts: backup.Facts, gone: set[str]) -> None:
    blobs = BlobFolder(settings.data / "blobs")
    for payload in facts.payloads:
        if str(payload.id) in gone:
            continue
        if not await blobs.holds(payload.id) or await blobs.digest(payload.id, ()) != payload.digest:
            raise BackupError(f"payload {payload.id} is missing from the backup, or damaged")


def _begin_anew(settings: RelayConfig, file: Path) -> restored.Voided:
    def work(db: Connection) -> restored.Voided:
        return restored.void(db, cause=f"backup {file.name}"[:100], now=time.time())

    return on_database(settings, work)
