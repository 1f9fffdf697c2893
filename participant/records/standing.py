"""Standing approvals: an officer's decision in advance that sums of a dataset may lack a site.

Without one, a sum over all sites but one waits for the officer of each remaining site, since the difference from the
sum over all of them is the missing site's vector. A standing approval lets this site sign such sums unasked: those that
lack a named site, or any one site of a roster, in at most `times` runs within any `days`. What it gives away is the
totals of the site that is missing, in every question that is asked both ways; never a person, since the floors hold in
each site's own vector. A set that was signed in this way stays provisional: it permits no later run, which uses the
approval once more or asks (`participant.policy.differencing`). With floors over all sites, where the difference has no
floor, no standing approval applies.

The table, `standing_approval`, is declared in `ledger.py`. Granting, every use and the revocation are in the ledger.
"""

import getpass
import sqlite3
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from participant.records.ledger import Ledger
from relay.party.journal import Journal
from secagg.errors import ParameterError

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class ProposedSet:
    """A set of survivors that this site may not sign unasked.

    Attributes:
        dataset: name of the dataset.
        keys: keys of the survivors.
        roster: keys of all sites of the project's roster.
        lost: keys of the sites lost in this run.
        near: earlier sets to which it is too near.
    """

    dataset: str
    keys: frozenset[bytes]
    roster: frozenset[bytes]
    lost: frozenset[bytes]
    near: tuple[frozenset[bytes], ...]


@dataclass(frozen=True, slots=True)
class StandingApproval:
    """A standing approval.

    Attributes:
        number: number of the approval at this site, from 1.
        dataset: name of the dataset.
        site: key of the site that may be missing; empty for any one site of a project's roster.
        times: number of runs in any period of `days`.
        days: length of the period, in days.
        granted: when it was granted, seconds since 1970.
    """

    number: int
    dataset: str
    site: bytes
    times: int
    days: int
    granted: float

    def covers(self, proposed: ProposedSet) -> bool:
        """Return whether a set may be signed unasked: everything that it reveals is the totals of the missing site."""
        missing = proposed.roster - proposed.keys
        if self.site:
            allowed = {self.site}
            differences = [one ^ proposed.keys for one in proposed.near]
            return missing <= allowed and proposed.lost <= allowed and all(one == allowed for one in differences)
        others = [one for one in proposed.near if one <= proposed.roster and len(proposed.roster - one) <= 1]
        only_those = len(others) == len(proposed.near) and proposed.keys not in others
        return only_those and len(missing) <= 1 and proposed.lost <= missing

    def facts(self, used: int) -> dict[str, Any]:
        """Return the approval as plain values, with the number of runs that used it in the current period."""
        return {
            "number": self.number,
            "dataset": self.dataset,
            "site": self.site.hex() or None,
            "times": self.times,
            "days": self.days,
            "granted": self.granted,
            "used": used,
        }


class StandingApprovals:
    """The standing approvals in the participant's journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ledger = Ledger(connection)

    def all(self, dataset: str | None = None) -> list[StandingApproval]:
        """Return those in force, for all datasets or one."""
        rows = self._connection.execute(
            "SELECT number, dataset, site, times, days, granted FROM standing_approval WHERE revoked IS NULL "
            "AND (?1 IS NULL OR dataset = ?1) ORDER BY number",
            (dataset,),
        )
        return [StandingApproval(*row) for row in rows]

    def used(self, approval: StandingApproval, now: float) -> list[UUID]:
        """Return the runs that used an approval in the period that ends now."""
        return self._ledger.runs_under(approval.number, now - approval.days * DAY_S)

    def for_set(self, proposed: ProposedSet, run: UUID, now: float) -> StandingApproval | None:
        """Return an approval under which a set may be signed now; a run uses it once, however many its rounds."""
        for one in self.all(proposed.dataset):
            runs = self.used(one, now)
            if one.covers(proposed) and (run in runs or len(runs) < one.times):
                return one
        return None


def grant(journal: Journal, dataset: str, site: bytes, times: int, days: int) -> StandingApproval:
    """Record a standing approval, also in the ledger."""
    now = time.time()
    with journal.transaction() as batch:
        number = batch.connection.execute(
            "INSERT INTO standing_approval (dataset, site, times, days, granted) VALUES (?, ?, ?, ?, ?) "
            "RETURNING number",
            (dataset, site, times, days, now),
        ).fetchone()[0]
        made = StandingApproval(number, dataset, site, times, days, now)
        _enter(batch.connection, "standing-granted", now, made)
    return made


def revoke(journal: Journal, number: int) -> StandingApproval:
    """Revoke a standing approval; raises ParameterError if none in force has this number."""
    now = time.time()
    with journal.transaction() as batch:
        found = [one for one in StandingApprovals(batch.connection).all() if one.number == number]
        if not found:
            raise ParameterError(f"no standing approval has the number {number}; list them with: approve --standing")
        batch.connection.execute("UPDATE standing_approval SET revoked = ? WHERE number = ?", (now, number))
        _enter(batch.connection, "standing-revoked", now, found[0])
    return found[0]


def _enter(connection: sqlite3.Connection, what: str, now: float, approval: StandingApproval) -> None:
    Ledger(connection).enter(
        {
            "what": what,
            "at": round(now, 3),
            "by": getpass.getuser(),
            "approval": approval.number,
            "dataset": approval.dataset,
            "site": approval.site.hex(),
            "times": approval.times,
            "days": approval.days,
        }
    )


def in_words(approval: StandingApproval) -> str:
    """Return what an approval allows and what it gives away, for people."""
    who = f"site {approval.site.hex()[:16]}" if approval.site else "any one site of a project's roster"
    return (
        f"this site signs sums of {approval.dataset} that lack {who}, without asking, in at most {approval.times} "
        f"run{'s'[: approval.times > 1]} within any {approval.days} days. Subtracting such a sum from the one over all "
        "sites tells the totals of the missing site, never a person's values: the floors hold at each site."
    )
