"""A backup of the coordinator: its identity, its runs and what they learnt. Sealed under the identity's passphrase.

It holds no state of an epoch and no round that is open: what such a state has sent since would be sent again with
other content. A run that was open when the backup was made goes on, after a restore, from its last checkpoint at the
relay, in a new epoch once the open round is finished; without checkpoints it is ended by name.
"""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from coordinator.journal.records import RunRecords
from coordinator.journal.schema import TABLES
from coordinator.session.config import CoordinatorConfig
from relay.party import keystore
from relay.party.journal import Journal
from relay.party.sealed import MAX_BYTES, Sealed, WrongPassphraseError, seal
from relay.service.folders import private_folder, sync_folder
from secagg.errors import ParameterError

FORMAT = 1
_FORGOTTEN = ("machine", "outbox", "package", "turn", "upload")


class CoordinatorBackupError(ParameterError):
    """The backup cannot be made or used; nothing was changed."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    made: float
    identity: str
    journal: Sealed


def make(settings: CoordinatorConfig, passphrase: str, target: Path) -> dict[str, Any]:
    """Write a backup; runs may go on meanwhile. Returns what stands in it, without secrets.

    Raises:
        KeystoreError: there is no identity, or it does not open.
        BackupError: the file exists, or the journal is too large for a sealed file.
    """
    keystore.unlock(settings.identity, passphrase)
    if target.exists():
        raise CoordinatorBackupError(f"{target} exists; a backup is never overwritten")
    with closing(Journal(settings.data, TABLES)) as journal, closing(sqlite3.connect(":memory:")) as copy:
        journal.connection.backup(copy)
        for table in _FORGOTTEN:
            copy.execute(f"DELETE FROM {table}")  # noqa: S608  # names of ours
        copy.commit()
        copy.execute("VACUUM")
        content = copy.serialize()
        runs = len(RunRecords(copy).all())
    if len(content) > MAX_BYTES // 2:
        raise CoordinatorBackupError(f"the journal has {len(content)} bytes, a sealed backup at most {MAX_BYTES // 2}")
    file = _File(
        format=FORMAT, made=time.time(), identity=settings.identity.read_text(), journal=seal(content, passphrase)
    )
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(file.model_dump_json() + "\n")
        out.flush()
        os.fsync(out.fileno())
    sync_folder(target.parent)
    return {"file": str(target), "runs": runs, "bytes": target.stat().st_size}


def restore(settings: CoordinatorConfig, passphrase: str, source: Path) -> dict[str, Any]:
    """Put a backup into an empty data folder; returns what came of it.

    Raises:
        BackupError: the folder is in use, the file is no backup, or it does not open.
    """
    if settings.identity.exists() or (settings.data / "journal.sqlite").exists():
        raise CoordinatorBackupError(f"{settings.data} holds a coordinator; restore into an empty folder")
    try:
        file = _File.model_validate_json(source.read_text())
        content = file.journal.open(passphrase)
    except WrongPassphraseError:
        raise CoordinatorBackupError(f"{source} does not open with this passphrase") from None
    except (ValidationError, UnicodeDecodeError):
        raise CoordinatorBackupError(f"{source} is no backup of a coordinator, or is damaged") from None
    if file.format != FORMAT:
        raise CoordinatorBackupError(f"{source} has format {file.format}, this release reads {FORMAT}")
    private_folder(settings.data)
    with closing(sqlite3.connect(":memory:")) as copy, closing(Journal(settings.data, TABLES)) as journal:
        copy.deserialize(content)
        copy.backup(journal.connection)
        records = RunRecords(journal.connection)
        known = records.all()
        open_runs = [record.run for record in known if not record.is_over]
        for run in open_runs:
            records.restored(run)
    handle = os.open(settings.identity, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(file.identity)
        out.flush()
        os.fsync(out.fileno())
    sync_folder(settings.data)
    return {"made": file.made, "runs": len(known), "open": [str(run) for run in open_runs]}
