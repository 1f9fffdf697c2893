"""A party restored from its encoded state at every step sends the same bytes and learns the same sums."""

import pytest

from secagg.messages import Manifest, Open
from secagg.params import Profile
from secagg.protocol.step import Learned, Send
from secagg.protocol.table import decode_state, encode_state
from tests.support.party import Party
from tests.support.playbook import at


def outcome(profile: Profile) -> tuple[list[tuple[bytes, bytes]], list[list[float]]]:
    """Run a round, lose a site, run another round; return all that was sent, and all that was learned."""
    play = at(Manifest, n=4, rounds=3, profile=profile).until(Open).until(Open)
    play.present.discard(4)
    play.until(Open)
    effects = [effect for party in play.parties.values() for effect in party.effects]
    sent = [(one.frame.encode(), b"".join(one.payload)) for one in effects if isinstance(one, Send)]
    return sent, [list(effect.total) for effect in effects if isinstance(effect, Learned)]


@pytest.mark.parametrize("profile", Profile)
def test_a_restored_party_goes_on_with_the_same_bytes(profile, monkeypatch):
    """Recipe 10: what is sent again is the same bytes."""
    sent, learned = outcome(profile)
    settle = Party.settle

    def settle_and_restore(party, step):
        parcels = settle(party, step)
        party.state = decode_state(encode_state(party.state))
        return parcels

    monkeypatch.setattr(Party, "settle", settle_and_restore)
    assert outcome(profile) == (sent, learned)
    assert len(learned) == 5 + 4  # the coordinator and the sites that are there, once a round
