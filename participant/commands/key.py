"""Commands for the identity key: rotate, back up, restore."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from participant.commands.options import SiteOptions
from participant.settings import key_backup, settings_file
from participant.settings.journal import alone
from participant.settings.passphrase import passphrase
from relay.client import enrolment
from relay.service.command import Commands
from relay.service.dates import utc
from relay.service.folders import write_new
from secagg.errors import ParameterError
from secagg.identity import key_words

app = Commands(name="key", no_args_is_help=True, help="The identity key: rotate, back up, restore.")


@app.command("rotate")
def rotate(common: SiteOptions) -> None:
    """Replace this site's key with a new one in every project; officers then confirm the words again.

    Stop the daemon first. The old key is destroyed; back up the new one.
    """
    settings = common.settings()
    settings.require_relay()
    with alone(settings):
        identity = asyncio.run(enrolment.rotate(settings.identity, passphrase(settings), settings.client))
    words = key_words(identity.public)
    common.report({"key": identity.public.hex(), "words": words}, f"the new key's words:\n  {words}")


@app.command("backup")
def backup(
    to: Annotated[Path, typer.Option(help="file to write, or existing folder that collects backups")],
    common: SiteOptions,
    keep: Annotated[int, typer.Option(min=1, help="number of backups to keep in the folder")] = 14,
) -> None:
    """Back up identity, settings, policy and ledger, sealed under the identity's passphrase.

    The daemon may keep running. A backup never holds an epoch's state. Keep the passphrase on paper, elsewhere: without
    it, no backup opens.
    """
    settings = common.settings()
    collects = to.is_dir()
    target = to / f"participant-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.backup" if collects else to
    made = key_backup.make(settings, settings_file.place(common.config), passphrase(settings), target)
    removed = key_backup.expire(to, keep) if collects else []
    words = f"{target}: the identity, {made['entries']} ledger entries; removed {len(removed)} old backups"
    common.report(made | {"removed": removed}, words)


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="backup to restore")],
    common: SiteOptions,
) -> None:
    """Restore a backup into an empty data folder. Open epochs are abandoned, and officers confirm projects again.

    Make sure that no other daemon uses this identity. Settings, policy and certificates are restored where they are
    missing. Import the datasets again from their sources.
    """
    if not file.is_file():
        raise ParameterError(f"there is no file {file}")
    path = settings_file.place(common.config)
    settings = common.with_config(path if path.is_file() else None).settings()
    found = key_backup.restore(file, passphrase(settings), settings.data)
    files = [(path if name == "settings" else Path(at), text) for name, (at, text) in found.pop("files").items()]
    written = [str(at) for at, text in files if _put_back(at, text)]
    made = utc(found["made"])
    words = (
        f"restored the backup of {made}: the identity and {found['entries']} ledger entries. "
        f"{found['runs']} runs are over for this site, as is every run with mail at the relay.\n"
        f"Files restored: {', '.join(written) or 'none'}; check them with: config check\n"
        "Next: import the datasets, start the daemon, and confirm each project again: project agree"
    )
    common.report(found | {"files": written}, words)


def _put_back(path: Path, text: str) -> bool:
    """Write a file of a backup unless it exists; return whether it was written."""
    if path.exists():
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_new(path, text.encode())
    return True
