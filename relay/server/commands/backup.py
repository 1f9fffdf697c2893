"""`secagg-relay backup`, `backup-key` and `restore`."""

import time
from pathlib import Path
from typing import Annotated

import pyrage
import typer

from relay.server.backup import ended_keys
from relay.server.backup import make as making
from relay.server.backup import restore as restoring
from relay.server.backup.archive import BackupError
from relay.server.commands.options import RelayOptions
from relay.server.http.signatures import public_key
from relay.service.command import AsJson, Commands, report
from relay.service.dates import utc
from relay.service.folders import write_new
from secagg.errors import ParameterError

app = Commands()


@app.command("backup")
def backup(
    common: RelayOptions,
    to: Annotated[Path | None, typer.Option(help="folder for backups")] = None,
    recipient: Annotated[
        list[str] | None, typer.Option(help="public key (age1...) to encrypt the backup to; may be repeated")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="do not encrypt")] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="number of backups to keep regardless of age")] = None,
    days: Annotated[int | None, typer.Option(min=0, help="remove other backups older than this")] = None,
) -> None:
    """Back up database and payloads of a running relay into one file, and remove old backups."""
    settings = common.settings(
        backup_to=to,
        backup_recipients=None if recipient is None else tuple(recipient),
        backup_keep=keep,
        backup_days=days,
    )
    if settings.backup_to is None:
        raise ParameterError("give a folder for backups with --to or the setting backup_to, preferably on another disk")
    if plain and settings.backup_recipients:
        raise ParameterError("--plain and --recipient cannot be combined")
    if not plain and not settings.backup_recipients:
        raise ParameterError(
            "give a public key to encrypt to with --recipient; generate a key pair with: secagg-relay backup-key"
        )
    recipients = making.recipients_of(list(settings.backup_recipients))
    made = making.make(settings, settings.backup_to, recipients)
    removed = making.expire(settings.backup_to, keep=settings.backup_keep, days=settings.backup_days, now=time.time())
    words = f"{made['file']}: {made['bytes']} bytes, {made['payloads']} payloads; {len(removed)} old backups removed"
    common.report(made | {"removed": removed}, words)
    if made["rotten"]:
        raise BackupError(
            "the backup is complete except for payloads that differ from what was uploaded: "
            f"{', '.join(made['rotten'])}; see DiskFails in the runbook"
        )


@app.command("backup-key")
def backup_key(
    out: Annotated[Path, typer.Option(help="file for the secret key; it must not exist")], as_json: AsJson = False
) -> None:
    """Generate a key pair for backups, on the machine that will restore them, and print the public key.

    The relay gets the public key only. Keep two copies of the file offline: without it no backup can be opened.
    """
    identity = pyrage.x25519.Identity.generate()
    try:
        write_new(out, f"# public key: {identity.to_public()}\n{identity}\n".encode())
    except FileExistsError:
        raise ParameterError(f"{out} already exists; a key is never overwritten") from None
    public = str(identity.to_public())
    report({"recipient": public, "file": str(out)}, public, as_json=as_json)


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="backup file")],
    common: RelayOptions,
    identity: Annotated[Path | None, typer.Option(help="file with the secret key, for an encrypted backup")] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--verify-only", help="check and restore, or only check and leave nothing behind (a drill)"
        ),
    ] = True,
    key: Annotated[str | None, typer.Option(help="the relay's key that signed the backup; others are refused")] = None,
    ended: Annotated[
        Path | None,
        typer.Option(help="file with the keys that have ended since, one per line, or the output of `audit export`"),
    ] = None,
) -> None:
    """Check a backup, restore it into an empty folder, and start a new relay epoch. No relay may run meanwhile.

    Digests, row counts, database integrity, the audit log and every payload are always checked. Then open runs are
    marked as failed, unused tokens revoked and nonces deleted, since the relay has lost what it acknowledged after the
    backup.
    Keys that were revoked, rotated or deregistered since become valid again unless --ended lists them.
    """
    if not file.is_file():
        raise BackupError(f"file {file} does not exist")
    settings = common.settings()
    signer = None if key is None else public_key(key)
    identities = [] if identity is None else restoring.identities_of(identity)
    since = {} if ended is None else ended_keys.read(ended)
    facts = restoring.restore(file, settings, identities, key=signer, ended=since, keep=verify)
    done = f"restored into {settings.data}" if verify else "the backup is intact; nothing was restored"
    voided = f"{facts['failed_runs']} open runs failed, {facts['revoked_tokens']} unused tokens revoked"
    words = f"{done}: {facts['audit_entries']} audit entries, {facts['payloads']} payloads; {voided}"
    if ended is not None:
        words += f"; {facts['ended_keys']} keys ended again"
    elif verify:
        made = utc(facts["made"])
        words += (
            f"\nkeys that ended after {made} are valid again; end them before starting: "
            "secagg-relay site revoke, or restore with --ended FILE"
        )
    common.report(facts | {"restored": verify}, words)
