"""What of a site may be backed up, and what a restore does.

A backup holds the identity, the settings, the policy, the authority's certificates, and what the ledger remembers. It
holds no state of an epoch: masks that were used once could be used again. So a restore begins with no epoch, counts
every run that the backup knows, and every run that the relay has mail of, as over for this site, and asks the officers
to confirm their projects anew. What the ledger entered after the backup was made is lost, and an entry says so.
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
    """The backup cannot be made or used; nothing was changed."""


def make(settings: ParticipantConfig, settings_file: Path, passphrase: str, target: Path) -> dict[str, Any]:
    """Write a backup, sealed under the identity's passphrase; the daemon may run meanwhile.

    Returns:
        What stands in it, without secrets.

    Raises:
        KeystoreError: there is no identity, or it does not open.
        BackupError: the file exists.
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
            raise KeyBackupError(f"{target} exists; a backup never overwrites a file")
        write_whole(target, sealed.model_dump_json().encode())
        with journal.transaction():
            ledger.note_backup(made)
    public = Identity(seed).public
    return {"file": str(target), "made": made, "key": public.hex(), "entries": len(chain), "runs": len(runs)}


def restore(file: Path, passphrase: str, data: Path) -> dict[str, Any]:
    """Begin a data folder with a backup.

    Returns:
        What was restored; under `files` path and text of settings, policy and certificates for whoever puts them back.

    Raises:
        BackupError: the folder has an identity or a journal, the file is no backup, or was changed; it does not open.
    """
    if (data / "identity.json").exists() or (data / FILE_NAME).exists():
        raise KeyBackupError(
            f"{data} holds an identity or a journal; a restore needs an empty folder: move it away first"
        )
    content = _opened(file, passphrase)
    try:
        seed, made = b64decode(content["seed"], validate=True), float(content["made"])
        chain = [(b64decode(entry, validate=True), b64decode(head, validate=True)) for entry, head in content["ledger"]]
        runs = [(UUID(run), UUID(project)) for run, project in content["runs"]]
        files = {name: (str(path), str(text)) for name, (path, text) in content["files"].items() if name in FILES}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KeyBackupError(f"{file} is no backup of a participant") from None
    journal = Journal(private_folder(data), TABLES)
    try:
        journal.lock()
        with journal.transaction() as batch:
            ledger = Ledger(batch.connection)
            ledger.begin_again(chain, runs, made)
            AnsweredRows(batch.connection).relearn(ledger.entries())
            ledger.enter({"what": "restored", "at": round(time.time(), 3), "backup_made": made, "project": ""})
    except BrokenChainError as error:
        raise KeyBackupError(f"{file}: its ledger is not whole: {error}") from None
    finally:
        journal.close()
    identity = keystore.store(data / "identity.json", seed, passphrase)  # last: without it nothing works in the folder
    return {"key": identity.public.hex(), "made": made, "entries": len(chain), "runs": len(runs), "files": files}


def _opened(file: Path, passphrase: str) -> dict[str, Any]:
    if file.stat().st_size > MAX_BYTES:
        raise KeyBackupError(f"{file} is larger than any backup of a participant")
    try:
        content = json.loads(Sealed.model_validate_json(file.read_bytes()).open(passphrase))
    except WrongPassphraseError:
        raise KeyBackupError(f"{file} does not open with this passphrase, or was changed") from None
    except (ValidationError, ValueError):
        raise KeyBackupError(f"{file} is no backup of a participant") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise KeyBackupError(f"{file} is a backup of another release")
    return content


def _files(settings: ParticipantConfig, settings_file: Path) -> dict[str, tuple[str, str]]:
    """Return path and text of each of `FILES` that there is."""
    paths = {"settings": settings_file, "policy": settings.policy, "ca": settings.ca_file}
    there = {name: path.absolute() for name, path in paths.items() if path is not None and path.is_file()}
    return {name: (str(path), path.read_text(encoding="utf-8")) for name, path in there.items()}


def expire(folder: Path, keep: int) -> list[str]:
    """Remove all but the newest backups of a folder; returns the names of those that went."""
    old = sorted(folder.glob("participant-*.backup"))[:-keep]
    for path in old:
        path.unlink()
    return [path.name for path in old]


def _text(content: bytes) -> str:
    return b64encode(content).decode("ascii")
