"""What a standing approval covers: sums whose difference from earlier ones is one site's totals, and nothing else."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from participant.records import standing
from participant.records.ledger import TABLES, Ledger
from participant.records.standing import ProposedSet, StandingApproval, StandingApprovals
from relay.party.journal import Journal
from secagg.errors import ParameterError

A, B, C, D, E = (bytes([n]) * 32 for n in range(5))
ALL = frozenset({A, B, C, D})
ANY = StandingApproval(1, "lung", b"", 2, 30, 0.0)
NAMED = replace(ANY, site=A)
RUN = UUID(int=1)


def without(*gone: bytes) -> frozenset[bytes]:
    return ALL - set(gone)


def proposed(keys: frozenset[bytes], *near: frozenset[bytes], lost: frozenset[bytes] = frozenset()) -> ProposedSet:
    return ProposedSet("lung", keys, ALL, lost, near)


@pytest.mark.parametrize(
    ("approval", "asked", "covered"),
    [
        (ANY, proposed(without(A), ALL), True),
        (ANY, proposed(without(A), lost=frozenset({A})), True),
        (ANY, proposed(without(B), ALL, without(A)), True),
        (ANY, proposed(ALL, without(A)), True),
        (ANY, proposed(without(A, B), ALL), False),
        (ANY, proposed(without(A), without(A, B)), False),
        (ANY, proposed(ALL, ALL), False),  # retired: tells the sum of whoever was lost
        (ANY, proposed(without(A), ALL | {E}), False),  # a site of another roster
        (ANY, proposed(without(A), lost=frozenset({B})), False),
        (NAMED, proposed(without(A), ALL), True),
        (NAMED, proposed(ALL, without(A)), True),
        (NAMED, proposed(without(B), ALL), False),
        (NAMED, proposed(without(A), without(B)), False),
        (NAMED, proposed(without(A, B), lost=frozenset({A})), False),
        (NAMED, proposed(ALL, ALL), False),
    ],
)
def test_what_is_covered(approval: StandingApproval, asked: ProposedSet, *, covered: bool) -> None:
    assert approval.covers(asked) is covered


def test_a_run_uses_an_approval_once_and_it_ends_with_its_times_or_its_revocation(tmp_path: Path) -> None:
    journal = Journal(tmp_path, TABLES)
    journal.lock()
    made = standing.grant(journal, "lung", b"", times=2, days=30)
    approvals, ledger = StandingApprovals(journal.connection), Ledger(journal.connection)
    asked = proposed(without(A), ALL)

    def use(run: UUID, at: float) -> None:
        with journal.transaction():
            ledger.enter({"what": "survivors", "at": at, "run": str(run), "project": "", "standing": made.number})

    now = made.granted
    for run, rounds in ((RUN, 3), (UUID(int=2), 1)):
        assert approvals.for_set(asked, run, now) == made
        for _ in range(rounds):
            use(run, now)
    assert approvals.used(made, now) == [RUN, UUID(int=2)]
    assert approvals.for_set(asked, UUID(int=3), now) is None
    assert approvals.for_set(asked, RUN, now) == made  # its next round
    assert approvals.for_set(asked, UUID(int=3), now + 31 * 86_400) == made
    assert approvals.for_set(replace(asked, dataset="heart"), RUN, now) is None
    standing.revoke(journal, made.number)
    assert approvals.for_set(asked, RUN, now) is None
    with pytest.raises(ParameterError, match="no standing approval has the number 1"):
        standing.revoke(journal, made.number)
    assert [one["what"] for one in ledger.entries() if "approval" in one] == ["standing-granted", "standing-revoked"]
    journal.close()
