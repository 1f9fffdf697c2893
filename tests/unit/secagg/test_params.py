"""Thresholds, floors, schemas, and the bounds that everything rests on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import params
from secagg.envelope import MAX_FRAME_BYTES, Frame
from secagg.errors import HeadroomError, ParameterError
from secagg.messages import Listing, PrekeyList, Prekeys, ProvenShareSlot, Ready, Receipt, ShareList, Shares, ShareSlot
from secagg.params import (
    MAX_SITE_ROUNDS,
    Profile,
    Schema,
    Segment,
    default_colluders,
    default_threshold,
    least_survivors,
    mac_lanes_for,
    ring_bits_for,
)

SEGMENT = Segment(count=2, clip=4.0, step=0.5)
SCHEMA = Schema(ring_bits=6, mac_lanes=2, segments=(SEGMENT,))


@pytest.mark.parametrize(
    ("n", "malicious", "semi_honest", "bears"),
    [
        (3, 3, 2, 2),
        (5, 4, 3, 2),
        (10, 7, 6, 3),
        (20, 14, 11, 7),
        (50, 34, 26, 17),
        (100, 67, 51, 33),
        (200, 134, 101, 67),
    ],
)
def test_table_of_the_bounds(n, malicious, semi_honest, bears):
    assert default_threshold(n, Profile.MALICIOUS) == malicious
    assert default_threshold(n, Profile.SEMI_HONEST) == semi_honest
    assert 2 * malicious - n - 1 == bears


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("n", range(3, 201))
def test_defaults_keep_the_bounds(n, profile):
    t, colluders = default_threshold(n, profile), default_colluders(n, profile)
    assert 1 <= t <= n
    assert 2 * t > n + colluders
    assert 2 * (t - 1) <= n + (n + 2) // 3 if profile is Profile.MALICIOUS else 2 * (t - 1) <= n
    assert max(t, colluders + 2, 3) == least_survivors(t, colluders) <= n


def test_default_colluders():
    assert [default_colluders(n, Profile.MALICIOUS) for n in (3, 4, 6, 7, 9, 10, 100)] == [0, 1, 1, 2, 2, 3, 33]
    assert default_colluders(100, Profile.SEMI_HONEST) == 0


@given(st.integers(1, 2**62), st.integers(1, 10_000))
def test_ring_bits_are_the_least_that_hold_the_sum(levels, parties):
    try:
        bits = ring_bits_for(levels, parties)
    except HeadroomError:
        assert parties * levels >= 2**63
    else:
        assert 2 ** (bits - 2) <= parties * levels < 2 ** (bits - 1)


@pytest.mark.parametrize(
    ("levels", "parties", "bits"), [(1, 1, 2), (1, 3, 3), (1, 4, 4), (127, 1, 8), (128, 1, 9), (2**62 - 1, 2, 64)]
)
def test_ring_bits_at_the_edges(levels, parties, bits):
    assert ring_bits_for(levels, parties) == bits


@pytest.mark.parametrize(("levels", "parties"), [(2**62, 2), (2**63, 1), (3, 2**62)])
def test_sums_beyond_64_bits(levels, parties):
    with pytest.raises(HeadroomError):
        ring_bits_for(levels, parties)


@pytest.mark.parametrize("bits", range(2, 65))
def test_lanes_are_just_enough(bits):
    lanes = mac_lanes_for(bits)
    assert lanes * (65 - bits) >= 64 > (lanes - 1) * (65 - bits)
    assert lanes <= params.MAX_MAC_LANES


@pytest.mark.parametrize(
    ("clip", "step", "levels"), [(4.0, 0.5, 8), (1.0, 2.0, 0), (1.0, 0.4, 2), (5.0, 2.0, 2), (1.4, 1.0, 1)]
)
def test_levels(clip, step, levels):
    """The nearest integer, ties to even."""
    assert Segment(count=1, clip=clip, step=step).levels == levels


@pytest.mark.parametrize(
    "change",
    [
        {"count": 0},
        {"clip": 0.0},
        {"clip": -1.0},
        {"step": 0.0},
        {"step": -0.5},
        {"step": 9.0},
        {"clip": 1e308, "step": 1e-308},
        {"clip": 2.0**63, "step": 1.0},
        {"clip": float("nan")},
        {"step": float("nan")},
        {"rotation": 17},
    ],
)
def test_segments_that_cannot_be_quantised(change):
    with pytest.raises(ParameterError):
        replace(SEGMENT, **change).check()
    with pytest.raises(ParameterError):
        replace(SCHEMA, segments=(SEGMENT, replace(SEGMENT, **change))).check(3)


@pytest.mark.parametrize("segment", [{"count": 1}, {"clip": 0.5}, {"clip": 2.0**62, "step": 1.0}, {"rotation": 16}])
def test_segments_at_the_edge(segment):
    replace(SEGMENT, **segment).check()


def test_head_room_at_its_edge():
    """Eight levels: three sites reach 24 < 32 = 2^5, four reach 32, which six bits do not hold."""
    SCHEMA.check(3)
    with pytest.raises(HeadroomError):
        SCHEMA.check(4)
    replace(SCHEMA, ring_bits=7).check(7)


def test_head_room_of_the_widest_segment():
    with pytest.raises(HeadroomError):
        replace(SCHEMA, segments=(SEGMENT, replace(SEGMENT, clip=5.5))).check(3)


@pytest.mark.parametrize(
    "change",
    [
        {"segments": ()},
        {"ring_bits": 1},
        {"ring_bits": 0},
        {"ring_bits": 65},
        {"mac_lanes": 1},
        {"ring_bits": 64, "mac_lanes": 63},
        {"mac_lanes": 65},
        {"segments": (replace(SEGMENT, count=2**30 + 1),)},
    ],
)
def test_schemas_that_are_none(change):
    with pytest.raises(ParameterError):
        replace(SCHEMA, **change).check(3)


@pytest.mark.parametrize(
    "change",
    [{"mac_lanes": 0}, {"mac_lanes": 64}, {"ring_bits": 64, "mac_lanes": 64}, {"segments": (SEGMENT,) * 4096}],
)
def test_schemas_at_the_edge(change):
    replace(SCHEMA, **change).check(3)


def test_length():
    assert replace(SCHEMA, segments=(SEGMENT, replace(SEGMENT, count=5))).length == 7


# Setup messages fit into a frame ------------------------------------------------------------------------------------


def frames(count: int, body: bytes) -> Listing:
    frame = Frame(
        version=1, kind=8, epoch=bytes(32), transcript=bytes(32), round=0, sender=1, recipient=0,
        body=body, signature=bytes(64),
    )  # fmt: skip
    return Listing(senders=tuple(range(1, count + 1)), frames=(frame,) * count, siblings=())


@pytest.mark.parametrize("n", [3, 50, 200, 500, 800])
def test_every_list_of_the_setup_fits_into_a_frame(n):
    """With as many rounds as a manifest may have; what grows with n^2 (receipts) stays small up to these n."""
    rounds = min(params.MAX_ROUNDS, MAX_SITE_ROUNDS // n)
    hashes = (bytes(32),) * rounds
    shares = Shares(vault_hashes=hashes, vault_commitments=hashes, channel_confirmation=bytes(32), root=bytes(32))
    slot = ShareSlot(sealed=bytes(64 * rounds + 48), edges=hashes, leaves=hashes * 2).encode()
    path = (bytes(32),) * (n - 1).bit_length()
    prekeys = Prekeys(
        nonce=bytes(32), curve=bytes(32), kem=bytes(1184), self_commitments=hashes, mac_commitment=bytes(32)
    )
    receipt = Receipt(accepted=tuple(range(2, n + 1)), refused={})
    for message in (
        PrekeyList(prekeys=frames(n, prekeys.encode()), ciphertext=bytes(1088)),
        Ready(receipts=frames(n, receipt.encode())),
        ShareList(
            headers=frames(n, shares.encode()),
            slots=dict.fromkeys(range(2, n + 1), ProvenShareSlot(slot=slot, path=path).encode()),
        ),
    ):
        assert len(message.encode()) <= MAX_FRAME_BYTES - 256, type(message).__name__
