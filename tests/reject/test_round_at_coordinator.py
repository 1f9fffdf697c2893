"""V-07xx: uploads, signatures, answers and vaults that the coordinator refuses. Each refusal names the site."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from secagg import merkle
from secagg.codec import prefixed, tag, u32
from secagg.errors import FaultyParticipantError
from secagg.keys import seal, unseal
from secagg.messages import Consistency, Decline, Open, Shares, Unmask, Upload
from secagg.protocol import derivations as d
from secagg.protocol.ring_vector import RingVector, seal_vector
from secagg.protocol.step import Close
from tests.support.dealing import dealt, flipped, package_of, redealt
from tests.support.playbook import Parcel, Play, at

OTHER = b"\xaa" * 32


def declined(play: Play, site: int, reason: str = "no", *, like: int | None = None) -> Parcel:
    """Return a site's Decline for the open round."""
    frame = play.frame(Upload, like or site)
    return Parcel(play.write(Decline(reason=reason), frame, key=play.key(Decline, like or site), at={"sender": site}))


def answered(play: Play, site: int, change) -> Parcel:
    """Return a site's answer with changed shares."""
    return play.forge(Unmask, site, shares=change(dict(play.message(Unmask, site).shares)))


# Who may send what, once -------------------------------------------------------------------------------------------


def test_V_0701_upload_or_decline_of_a_site_that_was_not_asked():
    play = at(Upload, n=4, roster=(1, 2, 3))
    for wrong in (play.forge(Upload, 3, at={"sender": 4}), declined(play, 4, like=3)):
        play.refuses(0, wrong, FaultyParticipantError, "V-0701", blames=4)


@pytest.mark.parametrize("kind", [Consistency, Unmask])
def test_V_0701_site_that_is_no_survivor(kind):
    """Pitfall 13: holders answer only if they are in the set."""
    play = at(Open, n=4)
    play.present.discard(4)
    play.until(kind)
    play.refuses(0, play.forge(kind, 3, at={"sender": 4}), FaultyParticipantError, "V-0701", blames=4)


@pytest.mark.parametrize(
    ("kind", "change"), [(Upload, {"root": OTHER}), (Consistency, {"statement": OTHER}), (Unmask, {"shares": {}})]
)
def test_V_0702_two_frames_for_one_step(kind, change):
    """Pitfalls 14 and 19: one vector, one signature, one answer a site."""
    play = at(kind)
    play.parties[0].receive(play.parcel(kind, 2))
    play.refuses(0, play.forge(kind, 2, **change), FaultyParticipantError, "V-0702", blames=2)


@pytest.mark.parametrize("kind", [Upload, Consistency, Unmask])
def test_a_repetition_changes_nothing(kind):
    """Pitfall 19: a vector that arrives twice is added once."""
    play = at(kind)
    party = play.parties[0]
    party.receive(play.parcel(kind, 2))
    once, effects = party.state, len(party.effects)
    assert party.receive(play.parcel(kind, 2)) == []
    assert (party.state, len(party.effects)) == (once, effects)


def test_V_0702_upload_and_decline():
    play = at(Upload)
    after_upload, after_decline = play.copy(), play.copy()
    after_upload.parties[0].receive(play.parcel(Upload, 2))
    after_upload.refuses(0, declined(play, 2), FaultyParticipantError, "V-0702", blames=2)
    after_decline.parties[0].receive(declined(play, 2))
    after_decline.refuses(0, play.parcel(Upload, 2), FaultyParticipantError, "V-0702", blames=2)


def test_V_0702_two_declines():
    play = at(Upload)
    play.parties[0].receive(declined(play, 2, "ill"))
    play.parties[0].receive(declined(play, 2, "ill"))
    play.refuses(0, declined(play, 2, "away"), FaultyParticipantError, "V-0702", blames=2)


# Uploads -----------------------------------------------------------------------------------------------------------


def test_V_0703_upload_for_another_query():
    """Pitfall 9, recipe 19."""
    play = at(Upload)
    play.refuses(0, play.forge(Upload, 2, context=OTHER), FaultyParticipantError, "V-0703", blames=2)


def test_V_0704_payload_missing_truncated_or_changed():
    """Recipe 24."""
    play = at(Upload)
    payload = play.parcel(Upload, 2).payload
    for wrong in (b"", payload[:-1], payload + b"\0", flipped(payload), flipped(payload, -1), bytes(len(payload))):
        play.refuses(0, play.forge(Upload, 2, payload=wrong), FaultyParticipantError, "V-0704", blames=2)
    play.refuses(0, play.frame(Upload, 2).encode(), FaultyParticipantError, "V-0704", blames=2)


def test_V_0704_payload_of_another_site():
    """Pitfall 19, recipe 17: a vector is bound to its site."""
    play = at(Upload)
    wrong = play.forge(Upload, 2, payload=play.parcel(Upload, 3).payload, root=play.message(Upload, 3).root)
    play.refuses(0, wrong, FaultyParticipantError, "V-0704", blames=2)


def sealed_by_site(play: Play, vector: RingVector, **header) -> Parcel:
    """Return an upload of this vector by site 2, sealed in due form."""
    current = play.state(0).current
    bound = d.vector_bound(play.epoch, Upload.KIND, 2, current.round, current.context)
    sealed = seal_vector(vector, play.key(Upload, 2), bound)
    return play.forge(Upload, 2, payload=b"".join(sealed.chunks), **{"root": sealed.root, **header})


def test_V_0704_vector_that_is_not_the_signed_one():
    play = at(Upload)
    wrong = sealed_by_site(play, RingVector.zeros(play.schema), root=OTHER)
    play.refuses(0, wrong, FaultyParticipantError, "V-0704", blames=2)


@pytest.mark.parametrize("change", [{"ring_bits": 27}, {"mac_lanes": 3}], ids=["ring", "lanes"])
def test_V_0704_vector_of_another_schema(change):
    """Recipe 24."""
    play = at(Upload)
    wrong = sealed_by_site(play, RingVector.zeros(replace(play.schema, **change)))
    play.refuses(0, wrong, FaultyParticipantError, "V-0704", blames=2)


def test_V_0704_spare_bits_are_set():
    """Recipe 24: 33 bits of elements leave 7 spare ones in the fifth byte; a vector has one encoding."""
    play = at(Upload)
    current = play.state(0).current
    chunk = bytes(4) + b"\x80" + bytes(16)
    bound = d.vector_bound(play.epoch, Upload.KIND, 2, current.round, current.context)
    payload = seal(play.key(Upload, 2), chunk, tag("vector") + prefixed(bound, u32(1)))
    wrong = play.forge(Upload, 2, root=merkle.root([chunk]), payload=payload)
    play.refuses(0, wrong, FaultyParticipantError, "V-0704", blames=2)


# Signatures and answers --------------------------------------------------------------------------------------------


def test_V_0705_signature_on_another_set():
    """Pitfall 2."""
    play = at(Consistency)
    play.refuses(0, play.forge(Consistency, 2, statement=OTHER), FaultyParticipantError, "V-0705", blames=2)


@pytest.mark.parametrize(
    "change",
    [
        lambda shares: {},
        lambda shares: {1: shares[1], 2: shares[2]},
        lambda shares: {**shares, 4: shares[1]},
        lambda shares: {**shares, 0: shares[1]},
    ],
    ids=["none", "one missing", "one too many", "index 0"],
)
def test_V_0706_one_share_for_each_site_asked(change):
    """Pitfall 18, recipe 23."""
    play = at(Unmask)
    play.refuses(0, answered(play, 2, change), FaultyParticipantError, "V-0706", blames=2)


@pytest.mark.parametrize("dealer", [1, 2, 3])
@pytest.mark.parametrize("share", [OTHER, bytes(32)])
def test_V_0707_share_that_was_not_dealt(dealer, share):
    """Pitfalls 18 and 22, recipe 23: the leaf that the dealer signed says that the holder is at fault."""
    play = at(Unmask)
    wrong = answered(play, 2, lambda shares: {**shares, dealer: share})
    play.refuses(0, wrong, FaultyParticipantError, "V-0707", blames=2)


def test_V_0707_share_of_another_dealer_or_holder():
    """Recipe 23."""
    play = at(Unmask)
    swapped = answered(play, 2, lambda shares: {**shares, 1: shares[3], 3: shares[1]})
    copied = answered(play, 2, lambda _: dict(play.message(Unmask, 3).shares))
    for wrong in (swapped, copied):
        play.refuses(0, wrong, FaultyParticipantError, "V-0707", blames=2)


def test_V_0707_share_of_the_vault_key_of_a_survivor():
    """The coordinator asks for one of the two, and takes no other."""
    play = at(Unmask)
    state = next(past for past in reversed(play.parties[2].past) if hasattr(past, "current"))
    vault_share = state.current.row[1][32:]
    wrong = answered(play, 2, lambda shares: {**shares, 1: vault_share})
    play.refuses(0, wrong, FaultyParticipantError, "V-0707", blames=2)


# What the dealers committed to -------------------------------------------------------------------------------------


def with_all_answers(play: Play) -> Play:
    """Run to the answers and hand them in; the coordinator has yet to rebuild the secrets."""
    play.until(Unmask)
    for site in sorted(play.present):
        play.parties[0].receive(play.parcel(Unmask, site))
    return play


def without(play: Play, site: int) -> Play:
    """Lose a site before it uploads."""
    play.until(Open).present.discard(site)
    return play


def test_V_0708_seed_that_was_not_committed_to():
    play = at(Shares, n=4)
    for dealer in (1, 2):
        wrong = play.copy()
        changed = {h: redealt(wrong, dealer, h, flipped) for h in range(1, 5) if h != dealer}
        wrong.swap(Shares, dealer, dealt(wrong, dealer, slots=changed))
        with_all_answers(wrong).denies(0, Close(), FaultyParticipantError, "V-0708", blames=dealer)


def test_V_0708_vault_key_that_was_not_committed_to():
    """Pitfall 21."""
    play = at(Shares, n=4)
    play.swap(Shares, 2, dealt(play, 2, vault_commitments=(OTHER,)))
    with_all_answers(without(play, 2)).denies(0, Close(), FaultyParticipantError, "V-0708", blames=2)


@pytest.mark.parametrize("holder", [1, 2, 4])
def test_V_0708_shares_on_no_polynomial(holder):
    """Pitfall 22, recipe 23: with one share too many the dealer is named, whose holder is wrong matters not."""
    play = at(Shares, n=4)
    play.swap(Shares, 3, dealt(play, 3, slots={holder: redealt(play, 3, holder, flipped)}))
    with_all_answers(play).denies(0, Close(), FaultyParticipantError, "V-0708", blames=3)


def test_V_0708_shares_on_no_polynomial_with_no_answer_to_spare():
    play = at(Shares, n=4)
    play.swap(Shares, 3, dealt(play, 3, slots={1: redealt(play, 3, 1, flipped)}))
    with_all_answers(without(play, 4)).denies(0, Close(), FaultyParticipantError, "V-0708", blames=3)


def vaulted(play: Play, dealer: int, change: Callable[[bytes], bytes]) -> Play:
    """Let a dealer put something else into its vault, sign it, and be lost."""
    eh, round_ = play.epoch, 1
    before = next(state for state in reversed(play.parties[dealer].past) if hasattr(state, "vault_seed"))
    key = d.vault_key(d.vault_secret(before.vault_seed, dealer, round_, eh), dealer, round_, eh)
    bound = d.vault_bound(eh, dealer, round_)
    vault = seal(key, change(unseal(key, package_of(play, dealer).vaults[0], bound)), bound)
    play.swap(Shares, dealer, dealt(play, dealer, vaults=[vault]))
    return without(play, dealer)


def test_V_0709_vault_does_not_open():
    """Pitfall 21: a vault full of garbage under a valid commitment ends the round and names its dealer."""
    play = at(Shares, n=4)
    (vault,) = package_of(play, 2).vaults
    play.swap(Shares, 2, dealt(play, 2, vaults=[flipped(vault)]))
    with_all_answers(without(play, 2)).denies(0, Close(), FaultyParticipantError, "V-0709", blames=2)


@pytest.mark.parametrize(
    "change",
    [lambda _: b"", lambda seeds: seeds[:-32], lambda seeds: seeds + bytes(32), lambda seeds: seeds + b"\0"],
    ids=["empty", "one missing", "one more", "a byte more"],
)
def test_V_0709_vault_of_another_length(change):
    play = vaulted(at(Shares, n=4), 2, change)
    with_all_answers(play).denies(0, Close(), FaultyParticipantError, "V-0709", blames=2)


@pytest.mark.parametrize("site", [1, 3, 4])
def test_V_0709_vault_with_another_seed(site):
    """Pitfalls 21 and 23."""
    play = vaulted(at(Shares, n=4), 2, lambda seeds: flipped(seeds, 32 * (site - 1)))
    with_all_answers(play).denies(0, Close(), FaultyParticipantError, "V-0709", blames=2)


def test_a_vault_as_it_should_be_opens():
    play = with_all_answers(vaulted(at(Shares, n=4), 2, lambda seeds: seeds))
    play.parties[0].tell(Close())
