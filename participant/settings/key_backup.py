"""Backs up a site, and restores it from a backup.

A backup holds the identity, the settings, the policy, the authority's certificates, and the ledger with the runs it
knows. It holds no epoch state, which would let masks be used twice. So a restore begins with no epoch,
counts every run that the backup knows or that has mail at the relay as over for this site, and asks the officers to
confirm their projects again. Ledger entries made after the backup are lost; an entry records the restore.
"""

import json
import time
from base64 import b64decode, b64encode
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from participant.policy.differencing import AnsweredRows
from participant.records.ledger import TABLES, Ledger
from participant.settings.config import ParticipantConfig
from relay.party import keystore
from relay.party.journal import FILE_NAME, Journal
from relay.party.sealed import Sealed, WrongPassphraseError, seal
from relay.service.folders import private_folder, write_whole
from secagg.audit import BrokenChainError
from secagg.errors import ParameterError
from secagg.identity import Identity

FORMAT = 1
MAX_BYTES = 96 << 20
FILES = ("settings", "policy", "ca")


class KeyBackupError(ParameterError):
    """The backup could not be made or used; nothing has changed."""


def make(settings: ParticipantConfig, settings_file: Path, passphrase: str, target: Path) -> dict[str, Any]:
    """Write a backup, sealed under the identity's passphrase; the daemon may keep running.

    Returns:
        Summary of the contents, without secrets.

    Raises:
        KeystoreError: there is no identity, or the passphrase does not unlock it.
        KeyBackupError: the file exists.
    """
    seed = keystore.seed_of(settings.identity, passphrase)
    made = time.time()
    with closing(Journal(settings.data, TABLES)) as journal:
        ledger = Ledger(journal.connection)
        chain, runs = ledger.chain(), ledger.runs()
        content = {
            "format": FORMAT,
            "made": made,
            "seed": _text(seed),
            "files": _files(settings, settings_file),
            "ledger": [[_text(entry), _text(head)] for entry, head in chain],
            "runs": [[str(run), str(project)] for run, project in runs],
        }
        sealed = seal(json.dumps(content).encode(), passphrase)
        if target.exists():
            raise KeyBackupError(f"{target} exists already; a backup never overwrites a file")
        write_whole(target, sealed.model_dump_json().encode())
        with journal.transaction():
            ledger.note_backup(made)
    public = Identity(seed).public
    return {"file": str(target), "made": made, "key": public.hex(), "entries": len(chain), "runs": len(runs)}


def restore(file: Path, passphrase: str, data: Path) -> dict[str, Any]:
    """Fill an empty data folder from a backup.

    Returns:
        Summary of what was restored; `files` has path and text of settings, policy and certificates for the caller to
        put back.

    Raises:
        KeyBackupError: the folder has an identity or a journal, the file is not an intact backup, or the passphrase is
            wrong.
    """
    if (data / "identity.json").exists() or (data / FILE_NAME).exists():
        raise KeyBackupError(
            f"{data} already holds an identity or a journal; a restore needs an empty folder, so move it away first"
        )
    content = _opened(file, passphrase)
    try:
        seed, made = b64decode(content["seed"], validate=True), float(content["made"])
        chain = [(b64decode(entry, validate=True), b64decode(head, validate=True)) for entry, head in content["ledger"]]
        runs = [(UUID(run), UUID(project)) for run, project in content["runs"]]
        files = {name: (str(path), str(text)) for name, (path, text) in content["files"].items() if name in FILES}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KeyBackupError(f"{file} is not a participant's backup") from None
    journal = Journal(private_folder(data), TABLES)
    try:
        journal.lock()
        with journal.transaction() as batch:
            ledger = Ledger(batch.connection)
            ledger.begin_again(chain, runs, made)
            AnsweredRows(batch.connection).relearn(ledger.entries())
            ledger.enter({"what": "restored", "at": round(time.time(), 3), "backup_made": made, "project": ""})
    except BrokenChainError as error:
        raise KeyBackupError(f"the ledger in {file} is damaged: {error}") from None
    finally:
        journal.close()
    identity = keystore.store(data / "identity.json", seed, passphrase)  # last: without it the folder is unusable
    return {"key": identity.public.hex(), "made": made, "entries": len(chain), "runs": len(runs), "files": files}


def _opened(file: Path, passphrase: str) -> dict[str, Any]:
    if file.stat().st_size > MAX_BYTES:
        raise KeyBackupError(f"{file} is too large for a participant's backup")
    try:
        content = json.loads(Sealed.model_validate_json(file.read_bytes()).open(passphrase))
    except WrongPassphraseError:
        raise KeyBackupError(f"the passphrase is wrong, or {file} was altered") from None
    except (ValidationError, ValueError):
        raise KeyBackupError(f"{file} is not a participant's backup") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise KeyBackupError(f"{file} was made by another release")
    return content


def _files(settings: ParticipantConfig, settings_file: Path) -> dict[str, tuple[str, str]]:
    """Return path and text of each of `FILES` that exists."""
    paths = {"settings": settings_file, "policy": settings.policy, "ca": settings.ca_file}
    there = {name: path.absolute() for name, path in paths.items() if path is not None and path.is_file()}
    return {name: (str(path), path.read_text(encoding="utf-8")) for name, path in there.items()}


def expire(folder: Path, keep: int) -> list[str]:
    """Remove all but the `keep` newest backups in a folder; return the names of the removed ones."""
    old = sorted(folder.glob("participant-*.backup"))[:-keep]
    for path in old:
        path.unlink()
    return [path.name for path in old]


def _text(content: bytes) -> str:
    return b64encode(content).decode("ascii")
