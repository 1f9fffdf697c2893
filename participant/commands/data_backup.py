"""`secagg-participant data backup`, `restore` and `drill`: sealed copies of the datasets."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from participant.commands.options import SiteOptions
from participant.data.store import backup as backups
from participant.data.store.backup import Version, newest
from participant.data.store.drill import drill as drilled
from participant.data.store.store import DatasetStore
from participant.settings.passphrase import passphrase
from relay.party import keystore
from relay.service.command import Commands
from relay.service.folders import write_whole

app = Commands()

Place = Annotated[Path, typer.Argument(help="backup, or folder of backups: then the newest")]


@app.command("backup")
def backup(
    to: Annotated[Path, typer.Option(help="folder that collects backups")],
    common: SiteOptions,
    keep: Annotated[int, typer.Option(min=1, help="number of backups to keep in the folder")] = 7,
) -> None:
    """Back up all datasets into one file, sealed under the identity's passphrase, and read it again.

    Imports may go on. Older backups are removed only after the new one has been verified. Keep the passphrase on paper,
    elsewhere: without it, no backup opens.
    """
    settings = common.settings()
    words = passphrase(settings)
    keystore.seed_of(settings.identity, words)  # a mistyped passphrase must not seal a backup
    made = backups.make(DatasetStore(settings.datasets), to, words, made=datetime.now(UTC), keep=keep)
    facts = {
        "file": str(made.path),
        "bytes": made.bytes,
        "versions": [one.model_dump() for one in made.manifest.versions],
        "removed": made.removed,
    }
    text = (
        f"{made.path}: {len(made.manifest.versions)} versions of datasets, {made.bytes:,} bytes, verified; "
        f"removed {len(made.removed)} old backups"
    )
    common.report(facts, text)


@app.command("restore")
def restore(
    place: Place,
    common: SiteOptions,
    verify_only: Annotated[bool, typer.Option("--verify-only", help="verify the backup and restore nothing")] = False,
) -> None:
    """Restore datasets from a backup, once all of it is verified. Nothing that exists is overwritten.

    Versions that exist stay as they are, and versions that were dropped here stay dropped.
    """
    settings = common.settings()
    file = newest(place)
    done = backups.restore(DatasetStore(settings.datasets), file, passphrase(settings), verify_only=verify_only)
    facts = {
        "file": str(file),
        "made": done.manifest.made.isoformat(),
        "verified": [one.model_dump() for one in done.manifest.versions],
        "restored": _named(done.restored),
        "there": _named(done.there),
        "dropped": _named(done.dropped),
    }
    lines = [
        f"{file}: {len(done.manifest.versions)} versions of datasets, all verified",
        f"restored: {', '.join(_named(done.restored)) or 'none'}",
        f"already here: {', '.join(_named(done.there)) or 'none'}",
        *([f"dropped here since, and left out: {', '.join(_named(done.dropped))}"] if done.dropped else []),
    ]
    common.report(facts, "\n".join(lines))


@app.command("drill")
def drill(
    place: Place,
    common: SiteOptions,
    report: Annotated[Path | None, typer.Option(help="file for a copy of the report")] = None,
) -> None:
    """Restore a backup into an empty folder, verify every dataset there, remove it again, and report.

    The datasets in use are not touched.
    """
    settings = common.settings()
    done = drilled(DatasetStore(settings.datasets), place, passphrase(settings), at=datetime.now(UTC))
    if report is not None:
        write_whole(report, f"{done.in_words()}\n".encode())
    facts = done._asdict() | {
        "made": done.made.isoformat(),
        "drilled": done.drilled.isoformat(),
        "versions": [one.model_dump() for one in done.versions],
    }
    common.report(facts, done.in_words())


def _named(versions: tuple[Version, ...]) -> list[str]:
    return [f"{one.name} version {one.version}" for one in versions]
