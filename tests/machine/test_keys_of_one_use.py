"""Seeds, masks and seals over whole runs: a key is complete and fresh, is used once, and reveals no other."""

from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg import keys
from secagg.keys import UnsealError, unseal
from secagg.masks import Mask
from secagg.messages import SECRET_BYTES, Manifest, Open, SharePackage, Shares, Upload
from secagg.params import Schema, Segment
from secagg.protocol import derivations as d
from secagg.protocol import participant_round as pr
from secagg.protocol import participant_setup as ps
from tests.support.integers import inverse, times
from tests.support.playbook import Play, at

ROUNDS = 3


def three_rounds() -> Play:
    play = at(Open, n=4, rounds=ROUNDS)
    for _ in range(ROUNDS - 1):
        play.until(Open)
    return play.until(Upload)


def masks_of_round(play: Play, site: int, round_: int) -> dict[int, Mask]:
    """Return a site's masks of a round by the other end of the edge; its self-mask is under its own number."""
    state = next(one for one in play.parties[site].past if type(one) is pr.AwaitVector and one.current.round == round_)
    others = [other for other in state.current.roster if other != site]
    return dict(zip([site, *others], state.masks, strict=True))


def vault_of(play: Play, site: int, round_: int) -> tuple[bytes, bytes]:
    """Return a site's sealed vault of a round, and the key that the holders' shares give."""
    dealer = play.parties[site].was(ps.AwaitEncapsulationList)
    secret = d.vault_secret(dealer.vault_seed, site, round_, play.epoch)
    return SharePackage.decode(play.parcel(Shares, site).payload).vaults[round_ - 1], d.vault_key(
        secret, site, round_, play.epoch
    )


def test_an_opened_vault_opens_its_own_round_alone():
    """Pitfalls 3 and 8: what a drop-out costs in round 3 says nothing of the vectors that the site sent before."""
    play = three_rounds()
    sealed, key = vault_of(play, 4, 3)
    opened = unseal(key, sealed, d.vault_bound(play.epoch, 4, 3))
    for round_ in (1, 2):
        earlier, _ = vault_of(play, 4, round_)
        for place in (round_, 3):
            with pytest.raises(UnsealError):
                unseal(key, earlier, d.vault_bound(play.epoch, 4, place))
        context = next(
            s.current.context for s in play.parties[4].past if hasattr(s, "current") and s.current.round == round_
        )
        used = {mask.key for mask in masks_of_round(play, 4, round_).values()}
        for other in (1, 2, 3):
            seed = opened[SECRET_BYTES * (other - 1) :][:SECRET_BYTES]
            guesses = [
                d.pair_mask(one, 4, other, round_=round_, context=context, eh=play.epoch).key
                for one in (seed, d.pair_chain(seed, play.epoch), d.next_pair_chain(seed, round_, play.epoch))
            ]
            assert used.isdisjoint(guesses)


def test_a_vault_holds_seeds_and_no_mask_key():
    """Pitfall 28: masks exist with the context of a round alone, and vaults were sealed before there was one."""
    play = three_rounds()
    for round_ in range(1, ROUNDS + 1):
        sealed, key = vault_of(play, 4, round_)
        opened = unseal(key, sealed, d.vault_bound(play.epoch, 4, round_))
        assert not [mask for mask in masks_of_round(play, 4, round_).values() if mask.key in opened]
    with pytest.raises(TypeError):
        d.pair_mask(bytes(32), 1, 2, round_=1, eh=play.epoch)
    with pytest.raises(TypeError):
        d.self_mask(bytes(32), 1, round_=1, eh=play.epoch)


def test_mask_keys_are_whole_and_unrelated():
    """Pitfalls 4, 5, 6 and 8: no word of a key comes back, and no step between rounds is the same on two edges."""
    play = three_rounds()
    edges = [(site, other) for site in range(1, 5) for other in range(site, 5)]
    found = {
        round_: {(site, other): masks_of_round(play, site, round_)[other].key for site, other in edges}
        for round_ in range(1, ROUNDS + 1)
    }
    words = [key[i : i + 8] for by_edge in found.values() for key in by_edge.values() for i in range(0, 32, 8)]
    assert len(set(words)) == len(words) == 4 * len(edges) * ROUNDS
    for first, second in combinations(found, 2):
        steps = [
            bytes(a ^ b for a, b in zip(found[first][edge], found[second][edge], strict=True))[i : i + 8]
            for edge in edges
            for i in range(0, 32, 8)
        ]
        assert len(set(steps)) == len(steps)


def test_masks_reach_every_residue():
    """Pitfall 6: no value of the ring, the highest one included, is more or less likely in a masked vector of zeros.

    A count is binomial; 8 standard deviations are exceeded with a probability below 8 * 2e-15.
    """
    length, bits = 8_192, 3
    schema = Schema(ring_bits=bits, mac_lanes=2, segments=(Segment(count=length, clip=1.0, step=1.0),))
    play = at(Open, schema=schema, max_lanes=length)
    play.vectors = dict.fromkeys(play.vectors, np.zeros(length))
    masked = play.until(Upload).masked(1).elements
    expected, counts = length / 2**bits, Counter(masked.tolist())
    assert set(counts) == set(range(2**bits))
    assert max(abs(count - expected) for count in counts.values()) < 8 * (expected * (1 - 2**-bits)) ** 0.5


def coefficients(shares: dict[int, bytes]) -> list[bytes]:
    """Return the coefficients of degree 1 and 2 of all symbols' polynomials, out of three shares."""
    linear, square = [], []
    for at_ in range(0, len(shares[1]), 2):
        c1 = c2 = 0
        for x, share in shares.items():
            a, b = (other for other in shares if other != x)
            weight = times(int.from_bytes(share[at_ : at_ + 2], "little"), inverse(times(x ^ a, x ^ b)))
            c1, c2 = c1 ^ times(weight, a ^ b), c2 ^ weight
        linear.append(c1.to_bytes(2, "little"))
        square.append(c2.to_bytes(2, "little"))
    return [b"".join(linear), b"".join(square)]


def test_polynomials_have_nothing_in_common():
    """Pitfall 7: dealers draw every coefficient themselves; none comes back in another secret, round or degree."""
    play = at(Open, n=4, rounds=ROUNDS)
    drawn = []
    for dealer in range(1, 5):
        for round_ in range(1, ROUNDS + 1):
            rows = {holder: play.state(holder).rows[round_][dealer] for holder in (1, 2, 3)}
            drawn += coefficients({holder: row[:32] for holder, row in rows.items()})
            drawn += coefficients({holder: row[32:] for holder, row in rows.items()})
    words = [one[i : i + 8] for one in drawn for i in range(0, 32, 8)]
    assert len(set(words)) == len(words) == 4 * ROUNDS * 4 * 4


def test_no_key_seals_two_messages(monkeypatch):
    """Pitfalls 7, 14 and 28: over setup, rounds and a loss, no (key, nonce) meets a second plaintext or place."""
    sealed: dict[tuple[bytes, bytes], set[tuple[bytes, bytes]]] = defaultdict(set)

    class Recorded:
        def __init__(self, key):
            self.key, self.cipher = key, AESGCM(key)
            self.decrypt = self.cipher.decrypt

        def encrypt(self, nonce, data, associated):
            sealed[self.key, nonce].add((bytes(data), bytes(associated)))
            return self.cipher.encrypt(nonce, data, associated)

    monkeypatch.setattr(keys, "AESGCM", Recorded)
    play = Play(n=4, rounds=ROUNDS, seed=28)
    assert play.stage is Manifest
    play.until(Open).until(Open).present.discard(4)
    play.until(Open)
    dealt, first, second, third = 4 * ROUNDS + 4 * 3, 4 + 4 + 4 + 1 + 4, 4 + 3 + 3 + 1 + 3, 3  # as many as there are
    assert len(sealed) == dealt + first + second + third
    assert [len(contents) for contents in sealed.values() if len(contents) > 1] == []
