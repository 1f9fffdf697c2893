"""When each of a site's secrets is erased, and which secrets relay and coordinator together never hold.

Pitfall 26: seizing a site's disk opens no finished round. Pitfalls 3, 8 and 28, judged by the content of the states.
"""

from collections.abc import Iterable

import numpy as np
import pytest

from secagg import packing, ring
from secagg.codec import Record
from secagg.messages import Join, Manifest, Open, Survivors, Unmask, Upload
from secagg.params import Profile, Schema, Segment
from secagg.protocol import derivations as d
from secagg.protocol import participant_round as pr
from secagg.protocol import participant_setup as ps
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Abandon, Add, Ask, Contribute, DeclineRound, Keep, Send, Tick, Withhold
from secagg.protocol.table import encode_state
from secagg.quantize import quantize
from tests.support.playbook import EXPIRES, QUERY, ROUND_DEADLINE, SETUP_DEADLINE, Play, at

CANARY_SCHEMA = Schema(ring_bits=40, mac_lanes=3, segments=(Segment(count=16, clip=1e6, step=1e-4),))
profiles = pytest.mark.parametrize("profile", Profile, ids=lambda one: one.name)


def assert_gone(secrets: Iterable[bytes], state: Record) -> None:
    data = encode_state(state)
    assert not [secret.hex() for secret in secrets if secret in data]


def two_rounds(profile: Profile) -> Play:
    play = at(Manifest, n=4, rounds=3, profile=profile, seed=7).until(Open)
    play.present.discard(4)
    return play.until(Open).until(Open)


@profiles
def test_setup_secrets_are_gone_with_the_setup(profile):
    party = two_rounds(profile).parties[2]
    keys, pairs = party.was(ps.AwaitPrekeyList), party.was(ps.AwaitEncapsulationList)
    shares = party.was(ps.AwaitShareList)
    assert_gone([party.was(ps.AwaitCohort).nonce], pairs)
    # Once it has dealt, a site can open nothing that it sealed, nor agree on a pair secret again.
    assert_gone([keys.curve_private, keys.kem_seed, keys.vault_seed, *pairs.pair_secrets.values()], shares)
    # Once it has given its receipt, it can open nothing that was sealed for it.
    assert_gone([*shares.share_keys.values(), shares.own_shares], party.was(ps.AwaitReady))
    assert_gone([keys.kappa], party.was(pr.AwaitOpen))


@profiles
def test_secrets_of_a_round_are_gone_with_the_round(profile):
    party = two_rounds(profile).parties[2]
    idle, vector, sent = party.was(pr.AwaitOpen), party.was(pr.AwaitVector), party.was(pr.AwaitSurvivors)
    membership = idle.membership
    chains = [*idle.pair_chains.values(), idle.self_chain, idle.channel_chain]
    seeds = [d.pair_seed(chain, 1, membership.epoch) for chain in idle.pair_chains.values()]
    own = d.self_seed(idle.self_chain, membership.index, 1, membership.epoch)
    # As soon as the round is open, no seed of it is left, only the mask keys under its context.
    assert_gone([*chains, *seeds, own], vector)
    # As soon as the vector is masked, the mask keys are gone.
    assert_gone([*(mask.key for mask in vector.masks), vector.upload_key, vector.decline_key, vector.open.salt], sent)
    # As soon as the answer is made, the shares are gone.
    answered = party.was(pr.AwaitResult)
    assert_gone([sent.current.answer_key, *sent.current.row.values(), *idle.rows[1].values()], answered)
    assert_gone([answered.result_key, answered.context], party.was(pr.AwaitOpen, 2))


def test_a_round_that_was_missed_is_erased_by_the_next_one():
    play = at(Open, rounds=2)
    party, coordinator = play.parties[1], play.parties[0]
    idle = party.state
    coordinator.tell(Abandon())
    (opened, *_) = coordinator.tell(Ask(QUERY, play.schema, ROUND_DEADLINE))
    assert opened.frame.round == 2
    party.receive(opened)
    chains = [*idle.pair_chains.values(), idle.self_chain, idle.channel_chain]
    assert_gone([*chains, *idle.rows[1].values()], party.state)


@pytest.mark.parametrize("kind", [Join, Upload, Unmask, Open])
def test_time_erases_what_is_unfinished(kind):
    """Pitfall 26: deadlines end a setup, a round and an epoch, whether or not a frame ever comes."""
    play = at(kind)
    party = play.parties[1]
    before = party.state
    party.tell(Tick({Join: SETUP_DEADLINE, Open: EXPIRES}.get(kind, ROUND_DEADLINE)))
    if kind in {Join, Open}:
        assert type(party.state) is pr.Closed
    else:
        assert party.state == before.idle


@pytest.mark.parametrize("kind", [Join, Upload, Unmask, Open])
def test_before_its_time_nothing_ends(kind):
    play = at(kind)
    party = play.parties[1]
    before = party.state
    party.tell(Tick({Join: SETUP_DEADLINE, Open: EXPIRES}.get(kind, ROUND_DEADLINE) - 1))
    assert party.state == before


def test_declining_erases_the_shares():
    play = at(Open)
    party = play.parties[1]
    party.receive(play.parcel(Open))
    row = party.state.current.row
    party.tell(DeclineRound("no"))
    assert_gone(row.values(), party.state)


def test_withholding_erases_the_shares():
    play = at(Survivors)
    party = play.parties[1]
    party.receive(play.parcel(Survivors))
    row = party.state.current.row
    party.tell(Withhold())
    assert_gone(row.values(), party.state)


# What relay and coordinator hold together --------------------------------------------------------------------------


def view(play: Play, *colluders: int) -> bytes:
    """Return all bytes that relay, coordinator and these sites ever held: frames, payloads, states, vectors, totals."""
    coordinator = play.parties[0]
    holders = [coordinator, *(play.parties[site] for site in colluders)]
    states = [state for party in holders for state in (*party.past, party.state)]
    held = [encode_state(state) for state in states if type(state) is not ps.Outside]
    for party in play.parties.values():
        for effect in party.effects:
            if isinstance(effect, Send):
                held += [effect.frame.encode(), *effect.payload]
    for effect in coordinator.effects:
        if isinstance(effect, Keep):
            held.append(effect.package.encode())
        elif isinstance(effect, Add):
            held += forms(effect.vector)
    return b"\n".join(held)


def forms(vector: RingVector) -> list[bytes]:
    """Return a vector in every notation that it could lie around in."""
    values, bits = vector.values(), vector.schema.ring_bits
    reals = values * 1e-4
    return [
        packing.pack(vector.elements, bits),
        vector.elements.tobytes(),
        *(array.astype(order + kind).tobytes() for array in (values, reals) for kind in ("i8", "f8") for order in "<>"),
    ]


def plain(play: Play, site: int) -> RingVector:
    values = quantize(play.vectors[site], play.schema).values
    return RingVector(play.schema, ring.embed(values, play.schema.ring_bits), np.zeros(3, np.uint64))


def canary_play(profile: Profile) -> Play:
    """Run a round that loses site 7 before the upload and site 6 before the answer, with canaries as vectors."""
    play = at(Manifest, n=7, rounds=2, profile=profile, schema=CANARY_SCHEMA).until(Open)
    play.vectors = {
        site: [float(1_000 * site + 31 * i + 0.7) * (-1) ** i for i in range(CANARY_SCHEMA.length)]
        for site in play.parties
    }
    play.present.discard(7)
    play.until(Upload).advance()
    play.present.discard(6)
    return play.until(Open)


@pytest.fixture(scope="module", params=Profile, ids=lambda one: one.name)
def played(request):
    play = canary_play(request.param)
    return play, view(play)


def test_no_vector_of_a_site_is_in_the_view(played):
    play, seen = played
    for site in range(1, 8):
        for form in forms(plain(play, site)):
            assert not [i for i in range(0, len(form) - 24, 8) if form[i : i + 24] in seen]


def test_the_search_finds_a_vector_that_leaks(played):
    play, seen = played
    for form in forms(plain(play, 2)):
        assert form[8:32] in seen + form


def test_the_sum_is_in_the_view(played):
    """The harness looks at the right thing: what the coordinator may learn is found in the same way."""
    play, _ = played
    coordinator = play.parties[0]
    (learned,) = (effect for effect in coordinator.effects if hasattr(effect, "survivors"))
    assert learned.survivors == (1, 2, 3, 4, 5, 6)
    expected = sum(plain(play, site).values() for site in learned.survivors) * 1e-4
    assert np.allclose(learned.total, expected, atol=1e-9)


def secrets_of(play: Play, site: int) -> tuple[bytes, bytes]:
    """Return what must never be known together: the site's self-mask seed b and its vault key e, of round 1."""
    state = play.parties[site].was(ps.AwaitEncapsulationList)
    eh = state.membership.epoch
    return d.self_seed(state.self_chain, site, 1, eh), d.vault_secret(state.vault_seed, site, 1, eh)


def shares_of(play: Play, site: int, kind: int) -> list[bytes]:
    """Return all shares of one of the two secrets: those of kind 0 are the seed's, of kind 1 the vault key's."""
    holders = (play.parties[holder].was(ps.AwaitReady) for holder in range(1, 8))
    return [state.rows[1][site][32 * kind : 32 * kind + 32] for state in holders]


def test_never_both_secrets_of_a_site_are_in_the_view(played):
    play, seen = played
    for site in range(1, 8):
        seed, vault = secrets_of(play, site)
        assert seed not in seen
        assert vault not in seen
        known = [sum(share in seen for share in shares_of(play, site, kind)) for kind in (0, 1)]
        # Sites 1 to 5 answered: of each survivor with its seed's share, of the lost site with its vault key's.
        assert known == ([5, 0] if site <= 6 else [0, 5])


def test_no_lasting_secret_of_a_site_is_in_the_view(played):
    play, seen = played
    for site in range(1, 8):
        party = play.parties[site]
        keys, ready = party.was(ps.AwaitPrekeyList), party.was(ps.AwaitReady)
        lasting = [keys.curve_private, keys.kem_seed, keys.self_chain, keys.vault_seed, keys.kappa]
        assert not [one.hex() for one in (*lasting, *ready.pair_chains.values()) if one in seen]


def test_a_colluding_site_adds_its_own_secrets_and_one_share_of_each(played):
    play, _ = played
    seen = view(play, 5)
    own = play.parties[5].was(ps.AwaitPrekeyList)
    assert own.self_chain in seen, "the harness looks at the right thing"
    for site in (1, 2, 3, 4, 6, 7):
        party = play.parties[site]
        keys, chains = party.was(ps.AwaitPrekeyList), party.was(ps.AwaitReady).pair_chains
        secrets = [keys.curve_private, keys.kem_seed, keys.self_chain, keys.vault_seed, *secrets_of(play, site)]
        assert not [one.hex() for one in secrets if one in seen]
        assert {peer: chain in seen for peer, chain in chains.items()} == {peer: peer == 5 for peer in chains}
        known = [sum(share in seen for share in shares_of(play, site, kind)) for kind in (0, 1)]
        # Site 5 holds a share of either kind, and of one it answered.
        assert known == ([5, 1] if site <= 6 else [1, 5])


def test_the_vector_is_in_no_state_of_the_site_itself():
    play = at(Open, schema=CANARY_SCHEMA)
    play.vectors[1] = [123.456] * CANARY_SCHEMA.length
    party = play.parties[1]
    party.receive(play.parcel(Open))
    party.tell(Contribute(play.vectors[1]))
    states = [*party.past, party.state]
    for form in forms(plain(play, 1)):
        assert not [type(state).__name__ for state in states if form[:24] in encode_state(state)]
