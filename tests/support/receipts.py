"""Receipts of plays, as a coordinator writes them while the state machines of `playbook` go through a run."""

from collections.abc import Iterable
from functools import cache

import pytest

from coordinator.journal.receipts import contents_of
from secagg import receipts
from secagg.audit import GENESIS
from secagg.codec import Record
from secagg.identity import Identity
from secagg.messages import Open, Suite
from secagg.params import Profile
from secagg.protocol.step import Abandon, Step
from secagg.receipts import Entry, RunReceipt
from tests.support.party import Party
from tests.support.playbook import RUN, Play

TERMS = b"the terms"  # of every play's roster
PLAYS = {
    "malicious": {"profile": Profile.MALICIOUS},
    "semi-honest": {"profile": Profile.SEMI_HONEST},
    "homomorphic": {"suite": Suite.X25519_MLKEM768_AES256_BFV},
}


@cache
def contents(play: str, n: int = 4) -> tuple[tuple[Record, ...], Identity]:
    """Return the records of a run's receipt, and its coordinator's identity.

    The run has two sums, the second over three of four sites, and an abandoned round.
    """
    noted: list[tuple[Record | None, Step]] = []
    settle = Party.settle

    def noting(party: Party, step: Step) -> list:
        if party.index == 0:
            noted.append((party.state if party.past else None, step))
        return settle(party, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Party, "settle", noting)
        going = Play(n=n, rounds=3, **PLAYS[play]).until(Open).until(Open)
        going.present.discard(n)
        going.until(Open)
        going.parties[0].tell(Abandon())
    begun = receipts.Begun(run=RUN, roster=going.roster, terms=TERMS)
    steps = [content for before, step in noted for content in contents_of(before, step)]
    return (begun, *steps, receipts.Ended(outcome="completed")), going.parties[0].identity


def chain(entries: Iterable[Record]) -> tuple[Entry, ...]:
    """Return the entries, each with its head."""
    made: list[Entry] = []
    for content in entries:
        made.append(receipts.chained(content, made[-1].head if made else GENESIS))
    return tuple(made)


def receipt(play: str = "malicious") -> RunReceipt:
    """Return the receipt of a play, signed by its coordinator."""
    written, identity = contents(play)
    return receipts.signed(chain(written), identity)
