"""Backups of a coordinator: identity, runs and results, sealed under the identity's passphrase.

A backup holds neither the state of an epoch nor an open round: a process restored to that state would resend messages
with different content. After a restore, a run that was open continues from its last checkpoint at the relay: the open
round is finished, and a new epoch follows. Without checkpoints the run fails with a reason.
"""

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
from relay.party.migrations import NewerTablesError, migrate
from relay.party.sealed import MAX_BYTES, Sealed, WrongPassphraseError, seal
from relay.service.folders import write_new
from secagg.errors import ParameterError

FORMAT = 1
_FORGOTTEN = ("machine", "outbox", "package", "turn", "upload")


class CoordinatorBackupError(ParameterError):
    """A backup cannot be written or restored; nothing was changed."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    made: float
    identity: str
    journal: Sealed


def make(settings: CoordinatorConfig, passphrase: str, target: Path) -> dict[str, Any]:
    """Write a backup without stopping any run; returns a summary without secrets.

    Raises:
        KeystoreError: there is no identity, or the passphrase does not open it.
        CoordinatorBackupError: the file exists, or the journal is too large for a sealed file.
    """
    keystore.unlock(settings.identity, passphrase)
    if target.exists():
        raise CoordinatorBackupError(f"{target} exists; a backup is never overwritten")
    with closing(Journal(settings.data, TABLES)) as journal, closing(sqlite3.connect(":memory:")) as copy:
        journal.connection.backup(copy)
        for table in _FORGOTTEN:
            copy.execute(f"DELETE FROM {table}")  # noqa: S608  # the names are constants
        copy.commit()
        copy.execute("VACUUM")
        content = copy.serialize()
        runs = len(RunRecords(copy).all())
    if len(content) > MAX_BYTES // 2:
        raise CoordinatorBackupError(
            f"the journal has {len(content)} bytes; a backup can hold at most {MAX_BYTES // 2}"
        )
    file = _File(
        format=FORMAT, made=time.time(), identity=settings.identity.read_text(), journal=seal(content, passphrase)
    )
    write_new(target, file.model_dump_json().encode() + b"\n")
    return {"file": str(target), "runs": runs, "bytes": target.stat().st_size}


def restore(settings: CoordinatorConfig, passphrase: str, source: Path) -> dict[str, Any]:
    """Restore a backup into an empty data folder; returns a summary.

    Raises:
        CoordinatorBackupError: the folder is in use, the file is not a backup, a newer release made it, or the
            passphrase does not open it.
    """
    if settings.identity.exists() or (settings.data / "journal.sqlite").exists():
        raise CoordinatorBackupError(f"{settings.data} already holds a coordinator; restore into an empty folder")
    try:
        file = _File.model_validate_json(source.read_text())
        content = file.journal.open(passphrase)
    except WrongPassphraseError:
        raise CoordinatorBackupError(f"this passphrase does not open {source}") from None
    except (ValidationError, UnicodeDecodeError):
        raise CoordinatorBackupError(f"{source} is damaged or is not a backup of a coordinator") from None
    if file.format != FORMAT:
        raise CoordinatorBackupError(f"{source} has format {file.format}; this release reads format {FORMAT}")
    with closing(sqlite3.connect(":memory:")) as copy:
        copy.deserialize(content)
        try:
            migrate(copy, TABLES)
        except NewerTablesError as error:
            raise CoordinatorBackupError(f"{source} cannot be restored: {error}") from None
        copy.commit()
        with closing(Journal(settings.data, TABLES)) as journal:
            copy.backup(journal.connection)
            records = RunRecords(journal.connection)
            known = records.all()
            open_runs = [record.run for record in known if not record.is_over]
            for run in open_runs:
                records.restored(run)
    write_new(settings.identity, file.identity.encode())
    return {"made": file.made, "runs": len(known), "open": [str(run) for run in open_runs]}
