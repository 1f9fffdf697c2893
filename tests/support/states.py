"""One honest instance of every state of protocol 1, and one frame of every kind of message."""

from dataclasses import replace
from functools import cache

from secagg.codec import Record
from secagg.envelope import Frame
from secagg.messages import Decline, Manifest, Open, Opened, ProtocolMessage, Result, Suite, Upload
from secagg.params import LossRule, Profile
from secagg.protocol.step import DeclineRound, Tick
from tests.support.party import Party
from tests.support.playbook import EXPIRES, SCHEMA, Play, at


@cache
def runs() -> tuple[Play, ...]:
    """Return complete plays that together go through every state: with and without losses, in both profiles."""
    plays = []
    for profile in Profile:
        for lost in ((), (4,)):
            play = at(Manifest, n=4, rounds=2, profile=profile, loss_rule=LossRule.PAUSE).copy()
            play.until(Open).present.difference_update(lost)
            play.until(Result).until(Open).until(Result)
            plays.append(play)
        homomorphic = at(Manifest, n=4, rounds=2, profile=profile, suite=Suite.X25519_MLKEM768_AES256_BFV)
        plays.append(homomorphic.copy().until(Opened).until(Open).until(Opened))
    declining = at(Open, n=4)
    declining.parties[4].receive(declining.parcel(Open, to=4))
    (decline,) = declining.parties[4].tell(DeclineRound("too few rows"))
    declining.mail[Decline] = [decline]
    declining.present.discard(4)
    declining.until(Upload)
    declining.parties[0].receive(decline)
    declining.parties[0].receive(declining.parcel(Upload, 1))
    closing = at(Result)
    closing.parties[1].tell(Tick(EXPIRES))
    return (*plays, declining, closing)


@cache
def sparse_run() -> Play:
    """Return a play that has gone through a whole round on a sparse graph."""
    schema = replace(SCHEMA, mac_lanes=0, ring_bits=12)
    return at(Result, n=9, rounds=2, schema=schema, degree=6, threshold=5, colluders=2, survivors=6).copy().until(Open)


@cache
def states() -> dict[type[Record], tuple[Party, Record]]:
    """Return a party and its state, for each kind of state."""
    found: dict[type[Record], tuple[Party, Record]] = {}
    for play in runs():
        for party in play.parties.values():
            for state in (*party.past, party.state):
                found.setdefault(type(state), (party, state))
    return found


@cache
def frames() -> dict[type[ProtocolMessage], Frame]:
    """Return an honest frame of each kind of message."""
    return {kind: parcels[0].frame for play in runs() for kind, parcels in play.mail.items()}
