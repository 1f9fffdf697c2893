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
    """Is there a key, readable for this user alone?"""
    public = keystore.public_of(look.settings.identity)
    return finding(True, f"key {fingerprint(public)}")


def passphrase(look: Look) -> Check:
    """Does it open the key, without anybody at a terminal?"""
    return finding(look.identity, "it opens the key")


def journal(look: Look) -> Check:
    """Is the database whole?"""
    with look.journal() as opened:
        (said,) = opened.connection.execute("PRAGMA integrity_check").fetchone()
    return finding(said == "ok", said, "stop the daemon, move the folder away, and: key restore BACKUP")


def epochs(look: Look) -> Check:
    """Which epochs are open? A restored one is burnt by the daemon's next start."""
    with look.journal() as opened:
        names, voiding = opened.machines(), Ledger(opened.connection).is_restored()
    return finding(not voiding, f"{len(names)} open epochs", "restored: start the daemon, which voids the old mail")


def anchor(look: Look) -> Check:
    """Is there a counter outside the data folder, that a restored folder is held against?"""
    place = look.settings.anchor
    if place is None:
        remedy = "set anchor to a file outside of the data folder that no backup holds, somewhere in /var/cache"
        return finding(False, "none: a data folder that is set back as a whole would not be noticed", remedy)
    inside = place.resolve().is_relative_to(look.settings.data.resolve())
    return finding(not inside, str(place), "it goes back with the data folder; put it elsewhere")


def outbox(look: Look) -> Check:
    """Does what is to be sent leave?"""
    with look.journal() as opened:
        waiting = len(opened.outgoing())
    return finding(
        waiting < _WAITING, f"{waiting} frames wait for the relay", "is the daemon running, the relay there?"
    )


def ledger(look: Look) -> Check:
    """Is the chain of what ever left unbroken?"""
    with look.journal() as opened:
        entries = len(Ledger(opened.connection).chain())
    return finding(True, f"{entries} entries, unbroken")


def backup(look: Look) -> Check:
    """Was the identity backed up lately?"""
    with look.journal() as opened:
        at = Ledger(opened.connection).backed_up()
    remedy = "secagg-participant key backup --to ...; or enable secagg-participant-backup.timer"
    if at is None:
        return finding(False, "never", remedy)
    day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
    return finding(time.time() - at < _BACKUP_DAYS * 86400, f"the last one on {day}", remedy)


def datasets(look: Look) -> Check:
    """Is there any?"""
    found = _store(look).list()
    seen = ", ".join(f"{one.name} version {one.version}" for one in found)
    return finding(found, seen or "none", "secagg-participant data import NAME FILE")


def datasets_whole(look: Look) -> Check:
    """Is what was imported what is there?"""
    store = _store(look)
    found = [store.verify(one.name) for one in store.list()]
    return finding(True, f"{len(found)} verified")


def _store(look: Look) -> DatasetStore:
    if not look.settings.datasets.is_dir():
        raise MissingError("none: secagg-participant data import NAME FILE")
    return DatasetStore(look.settings.datasets)


def policy(look: Look) -> Check:
    """Is there one, and can it be read?"""
    path = look.settings.policy
    if path is None:
        return finding(True, "none is named; the cautious defaults hold")
    Policy.read(path)
    writable = path.stat().st_mode & 0o022
    return finding(not writable, str(path), f"others can change it: chmod go-w {path}")


def projects(look: Look) -> Check:
    """Which projects did an officer confirm?"""
    with look.journal() as opened:
        confirmed = Ledger(opened.connection).projects()
    return finding(True, f"{len(confirmed)} confirmed")


def pins(look: Look) -> Check:
    """Does every confirmed roster name this site's key? After a rotation the words are compared anew."""
    public = keystore.public_of(look.settings.identity)
    with look.journal() as opened:
        ledger_ = Ledger(opened.connection)
        held = {project: ledger_.confirmed(project) for project in ledger_.projects()}
    old = [project for project, one in held.items() if one is not None and public not in one.roster.sites]
    remedy = "compare the words anew: project show, project accept"
    return finding(not old, f"confirmed rosters without this site's key: {', '.join(map(str, old)) or 'none'}", remedy)
