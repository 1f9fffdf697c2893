"""Checks of what the site holds: identity, journal, ledger, datasets, policy, confirmed projects."""

import time
from datetime import UTC, datetime

from participant.data.store.store import DatasetStore
from participant.doctor.look import Look, MissingError
from participant.policy.rules import Policy
from participant.records.ledger import Ledger
from relay.party import keystore
from relay.service.checkup import Check, finding
from secagg.identity import fingerprint

_WAITING = 100
_BACKUP_DAYS = 31


def identity(look: Look) -> Check:
    """Is there a key that only this user can read?"""
    public = keystore.public_of(look.settings.identity)
    return finding(True, f"key {fingerprint(public)}")


def passphrase(look: Look) -> Check:
    """Does the passphrase unlock the key without anybody at a terminal?"""
    return finding(look.identity, "it unlocks the key")


def journal(look: Look) -> Check:
    """Is the database intact?"""
    with look.journal() as opened:
        (said,) = opened.connection.execute("PRAGMA integrity_check").fetchone()
    return finding(said == "ok", said, "stop the daemon, move the folder away, then run: key restore BACKUP")


def epochs(look: Look) -> Check:
    """Which epochs are open? After a restore, the next start of the daemon voids old mail."""
    with look.journal() as opened:
        names, voiding = opened.machines(), Ledger(opened.connection).is_restored()
    return finding(
        not voiding, f"{len(names)} open epochs", "the site was restored: start the daemon, which voids the old mail"
    )


def anchor(look: Look) -> Check:
    """Is there a counter outside the data folder that reveals a rollback of the folder?"""
    place = look.settings.anchor
    if place is None:
        remedy = "set `anchor` to a file outside the data folder that no backup includes, for example in /var/cache"
        return finding(False, "none: a rollback of the whole data folder would go unnoticed", remedy)
    inside = place.resolve().is_relative_to(look.settings.data.resolve())
    return finding(not inside, str(place), "it would roll back together with the data folder; put it elsewhere")


def outbox(look: Look) -> Check:
    """Is the outbox draining?"""
    with look.journal() as opened:
        waiting = len(opened.outgoing())
    return finding(
        waiting < _WAITING,
        f"{waiting} frames wait for the relay",
        "check that the daemon runs and that it reaches the relay",
    )


def ledger(look: Look) -> Check:
    """Is the ledger's hash chain intact?"""
    with look.journal() as opened:
        entries = len(Ledger(opened.connection).chain())
    return finding(True, f"{entries} entries, chain intact")


def backup(look: Look) -> Check:
    """Is there a recent backup of the identity?"""
    with look.journal() as opened:
        at = Ledger(opened.connection).backed_up()
    remedy = "run secagg-participant key backup --to ..., or enable secagg-participant-backup.timer"
    if at is None:
        return finding(False, "never", remedy)
    day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
    return finding(time.time() - at < _BACKUP_DAYS * 86400, f"last backup on {day}", remedy)


def datasets(look: Look) -> Check:
    """Is there a dataset?"""
    found = _store(look).list()
    seen = ", ".join(f"{one.name} version {one.version}" for one in found)
    return finding(found, seen or "none", "secagg-participant data import NAME FILE")


def datasets_whole(look: Look) -> Check:
    """Are the datasets as they were imported?"""
    store = _store(look)
    found = [store.verify(one.name) for one in store.list()]
    return finding(True, f"{len(found)} verified")


def _store(look: Look) -> DatasetStore:
    if not look.settings.datasets.is_dir():
        raise MissingError("there is no dataset; import one with: secagg-participant data import NAME FILE")
    return DatasetStore(look.settings.datasets)


def policy(look: Look) -> Check:
    """Is the policy readable, and writable only by its owner?"""
    path = look.settings.policy
    if path is None:
        return finding(True, "no policy file is set; the cautious defaults apply")
    Policy.read(path)
    writable = path.stat().st_mode & 0o022
    return finding(not writable, str(path), f"other users can change it; run: chmod go-w {path}")


def projects(look: Look) -> Check:
    """Which projects has an officer confirmed?"""
    with look.journal() as opened:
        confirmed = Ledger(opened.connection).projects()
    return finding(True, f"{len(confirmed)} confirmed")


def pins(look: Look) -> Check:
    """Does every confirmed roster hold this site's key? After a rotation, officers compare the words again."""
    public = keystore.public_of(look.settings.identity)
    with look.journal() as opened:
        ledger_ = Ledger(opened.connection)
        held = {project: ledger_.confirmed(project) for project in ledger_.projects()}
    old = [project for project, one in held.items() if one is not None and public not in one.roster.sites]
    remedy = "compare the words again with: project show, project agree"
    return finding(not old, f"confirmed rosters without this site's key: {', '.join(map(str, old)) or 'none'}", remedy)
