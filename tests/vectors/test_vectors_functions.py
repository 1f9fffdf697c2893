"""Derivations, hashes, trees and arithmetic give the same results as the reference."""

from hashlib import sha256

import numpy as np
import pytest
from mnemonic import Mnemonic

from secagg import audit, identity, keys, mac, masks, merkle, packing, quantize, ring, rotation, shamir
from secagg.codec import tagged_hash, u16, u32
from secagg.errors import ParameterError
from secagg.graph import draw
from secagg.keys import KeyAgreement
from secagg.params import Beyond, Rounding, Schema, Segment
from secagg.protocol import derivations as d
from secagg.protocol.ring_vector import RingVector, open_vector, seal_vector
from secagg.quantize import Coins
from tests.vectors.files import load, unhex

KDF = unhex(load("kdf"))
GIVEN = KDF["given"]
EH, CTX, U, V, R, KEY = (GIVEN[name] for name in ("eh", "ctx", "u", "v", "round", "key"))

DERIVATIONS = {
    "share-channel": lambda: d.share_key(KEY, U, V, EH),
    "pair-chain": lambda: d.pair_chain(KEY, EH),
    "pair-ratchet": lambda: d.next_pair_chain(KEY, R, EH),
    "pair-seed": lambda: d.pair_seed(KEY, R, EH),
    "self-ratchet": lambda: d.next_self_chain(KEY, R, EH),
    "self-seed": lambda: d.self_seed(KEY, U, R, EH),
    "vault-secret": lambda: d.vault_secret(KEY, U, R, EH),
    "vault-key": lambda: d.vault_key(KEY, U, R, EH),
    "channel-chain": lambda: d.channel_chain(KEY, EH),
    "channel-ratchet": lambda: d.next_channel_chain(KEY, R, EH),
    "channel-key": lambda: d.channel_key(KEY, R, GIVEN["kind"], EH),
    "pair-mask": lambda: d.pair_mask(KEY, U, V, round_=R, context=CTX, eh=EH).key,
    "self-mask": lambda: d.self_mask(KEY, U, round_=R, context=CTX, eh=EH).key,
    "mac-session": lambda: mac.session_key([KEY, GIVEN["second_key"]], epoch=EH),
    "mac": lambda: keys.derive(KEY, "mac", u32(R), CTX, u16(GIVEN["lane"]), epoch=EH),  # in mac.lanes: test_lanes
    "group-chain": lambda: d.group_chain([KEY, GIVEN["second_key"]], EH),
    "group-ratchet": lambda: d.next_group_chain(KEY, R, EH),
    "group-key": lambda: d.group_key(KEY, R, CTX, EH),
    "he-key": lambda: d.he_seed(KEY, EH),
    "sealed-shares": lambda: d.sealed_shares_key(KEY, U, EH),
    "slot-mac": lambda: d.slot_lane_key(KEY, GIVEN["lane"], EH),
}


@pytest.mark.parametrize("label", KDF["outputs"])
def test_derivations(label):
    assert DERIVATIONS[label]() == KDF["outputs"][label]


def test_pair_masks_differ_by_sign_alone():
    low, high = (d.pair_mask(KEY, a, b, round_=R, context=CTX, eh=EH) for a, b in ((U, V), (V, U)))
    assert (low.key, low.negate, high.negate) == (high.key, False, True)


def test_pair_secret():
    pair = KDF["pair"]
    low, high = (KeyAgreement(secret) for secret in pair["curve_secrets"])
    assert [low.curve_public, high.curve_public] == pair["curves"]
    assert low.exchange(high.curve_public) == high.exchange(low.curve_public) == pair["x"]
    assert KeyAgreement(pair["curve_secrets"][0], pair["kem_seed"]).kem_public == pair["kem"]
    secret = keys.pair_secret(
        pair["x"],
        pair["ss"],
        epoch=EH,
        low=(U, low.curve_public),
        high=(V, high.curve_public),
        high_kem_public=pair["kem"],
        ciphertext=pair["ciphertext"],
    )
    assert secret == pair["output"]


def test_draws():
    for name, output in KDF["draw"].items():
        assert d.draw(KEY, name) == output


def test_associated_data():
    assert {
        "share-blob": d.share_bound(EH, U, V, range(R, R + GIVEN["rounds"])),
        "vault-seal": d.vault_bound(EH, U, R),
        "vector-seal": d.vector_bound(EH, GIVEN["kind"], U, R, CTX),
        "sealed-shares-seal": d.sealed_shares_bound(EH, U, R, CTX),
    } == KDF["associated_data"]


def test_seal():
    seal = KDF["seal"]
    assert keys.seal(KEY, seal["message"], seal["ad"], number=seal["nonce"]) == seal["sealed"]
    assert keys.unseal(KEY, seal["sealed"], seal["ad"], number=seal["nonce"]) == seal["message"]


def test_hashes():
    vectors = unhex(load("hashes"))
    value, transcript = vectors["given"]["value"], vectors["given"]["transcript"]
    named = {
        "manifest": d.epoch_hash(value),
        "nonce-commit": d.nonce_commitment(EH, U, value),
        "self-commit": d.self_commitment(EH, U, R, value),
        "vault-commit": d.vault_commitment(EH, U, R, value),
        "mac-commit": d.mac_commitment(EH, U, value),
        "edge": d.edge_commitment(EH, R, V, U, value),
        "share": d.share_leaf(EH, U, V, R, d.VAULT_SHARE, value),
        "vault": d.vault_hash(EH, U, R, value),
        "channel-confirm": d.channel_confirmation(EH, U, value),
        "context": d.context_hash(EH, transcript, R, value),
        "rotation": d.rotation_key(CTX),
        "terms": identity.Roster.of(bytes(16), value, bytes(32), []).terms,
        "fingerprint": None,  # test_words
        "key-words": None,
        "chain": audit.link(audit.GENESIS, value),
    }
    for label, case in vectors["hashes"].items():
        assert tagged_hash(label, *case["fields"]) == case["output"]
        assert named[label] in {case["output"], None}
    entries = [(link["entry"], link["head"]) for link in vectors["chain"]]
    assert audit.verify_chain(entries) == entries[-1][1]


def test_merkle_trees():
    for case in unhex(load("merkle")["trees"]):
        leaves, paths = case["leaves"], case["paths"]
        tree = merkle.Tree(leaves)
        assert merkle.root(leaves) == tree.root == case["root"]
        for i, path in enumerate(paths):
            assert list(tree.paths()[i]) == path
            assert merkle.root_from_path(leaves[i], i, len(leaves), path) == case["root"]
        positions, siblings = case["part"]["positions"], case["part"]["siblings"]
        assert list(tree.siblings(positions)) == siblings
        if positions:
            part = {i: leaves[i] for i in positions}
            assert merkle.root_from_leaves(part, len(leaves), siblings) == case["root"]


def test_merkle_paths_of_a_wrong_length():
    for case in load("merkle")["refused"]:
        leaf, path = unhex(case["leaf"]), unhex(case["path"])
        assert merkle.root_from_path(leaf, case["position"], case["count"], path) is None, case["fault"]


@pytest.mark.parametrize("case", load("graphs"), ids=lambda case: f"{len(case['neighbours'])}, {case['degree']}")
def test_graphs(case):
    neighbours = {int(site): tuple(others) for site, others in case["neighbours"].items()}
    assert draw(unhex(case["seed"]), tuple(neighbours), case["degree"]) == neighbours


@pytest.mark.parametrize("case", load("masks")["masks"], ids=lambda case: f"{case['bits']} bits")
def test_masks(case):
    segment = Segment(count=len(case["elements"]), clip=1.0, step=1.0)
    schema = Schema(ring_bits=case["bits"], mac_lanes=len(case["lanes"]), segments=(segment,))
    vector = RingVector.zeros(schema)
    mask = masks.Mask(key=unhex(case["key"]), negate=False)
    vector.mask([mask])
    assert [int(x) % (1 << case["bits"]) for x in vector.elements] == case["elements"]
    assert vector.lanes.tolist() == case["lanes"]
    vector.mask([mask], remove=True)
    assert not vector.elements.any()
    assert not vector.lanes.any()


@pytest.mark.parametrize("case", load("masks")["slices"], ids=lambda case: f"{case['width']} bits from {case['start']}")
def test_slices_of_a_keystream(case):
    acc = np.zeros(len(case["words"]), f"u{case['width'] // 8}")
    masks.add_keystream(acc, unhex(case["key"]), start=case["start"])
    assert acc.tolist() == case["words"]
    masks.add_keystream(acc, unhex(case["key"]), start=case["start"], negate=True)
    assert not acc.any()


def test_packing():
    for case in load("packing")["packed"]:
        lanes, packed = np.array(case["values"], packing.lane_dtype(case["bits"])), unhex(case["packed"])
        assert packing.pack(lanes, case["bits"]) == packed
        assert packing.unpack(packed, case["bits"], len(lanes)).tolist() == case["values"]


@pytest.mark.parametrize("case", load("packing")["refused"], ids=lambda case: case["fault"])
def test_refused_packing(case):
    with pytest.raises(ParameterError):
        packing.unpack(unhex(case["packed"]), case["bits"], case["count"])


def segment_of(case) -> Segment:
    return Segment(**{**case, "beyond": Beyond(case["beyond"]), "rounding": Rounding(case["rounding"])})


def str_of_segment(case) -> str:
    segment = case["segment"]
    return f"{segment['clip']} by {segment['step']}, rounding {segment['rounding']}"


@pytest.mark.parametrize("case", load("quantise")["cases"], ids=str_of_segment)
def test_quantise(case):
    segment = segment_of(case["segment"])
    schema = Schema(ring_bits=64, mac_lanes=0, segments=(segment,))
    made = quantize.quantize(case["reals"], schema, Coins(unhex(case["ctx"]), unhex(case["rounding_key"])))
    assert segment.levels == case["levels"]
    assert (made.values.tolist(), made.clipped) == (case["integers"], case["clipped"])


@pytest.mark.parametrize(
    "case", load("quantise")["refused"], ids=lambda case: f"{case['real']} {case['segment']['rounding']}"
)
def test_refused_reals(case):
    schema = Schema(ring_bits=64, mac_lanes=0, segments=(segment_of(case["segment"]),))
    expected = quantize.BeyondClipError if case["fault"] == "beyond" else ParameterError
    with pytest.raises(ParameterError) as refused:
        quantize.quantize([float(case["real"])], schema, Coins(bytes(32), bytes(32)))
    assert type(refused.value) is expected


@pytest.mark.parametrize("case", load("rotation"), ids=lambda case: f"{len(case['reals'])} entries")
def test_rotation(case):
    schema = Schema(ring_bits=64, mac_lanes=0, segments=tuple(segment_of(one) for one in case["segments"]))
    key = d.rotation_key(unhex(case["ctx"]))
    reals = np.array(case["reals"])
    assert rotation.rotated(reals, schema.segments, key).tolist() == case["rotated"]
    values = quantize.quantize(reals, schema, Coins(key, bytes(32))).values
    assert values.tolist() == case["integers"]
    assert quantize.dequantize(values, schema, key).tolist() == case["decoded"]


def integers_of(case) -> np.ndarray:
    if "integers" in case:
        return np.array(case["integers"], np.int64)
    words = np.zeros(case["m"], packing.lane_dtype(case["bits"]))
    masks.add_keystream(words, unhex(case["source"]))
    return ring.centre(words, case["bits"])


def test_lanes():
    for case in load("lanes"):
        values = integers_of(case)
        made = mac.lanes(
            unhex(case["session"]), values, 3, round_=case["round"], context=unhex(case["ctx"]), epoch=unhex(case["eh"])
        )
        assert made == case["lanes"]


def test_shares():
    for case in load("shamir")["shared"]:
        secret, shares = unhex(case["secret"]), {int(x): share for x, share in unhex(case["shares"]).items()}
        threshold, holders = case["threshold"], list(shares)
        made = shamir.split(secret, threshold=threshold, holders=holders, rand=unhex(case["rand"]))
        assert made == list(shares.values())
        assert shamir.combine(shares, threshold) == secret
        assert shamir.combine({x: shares[x] for x in holders[-threshold:]}, threshold) == secret


@pytest.mark.parametrize("case", load("shamir")["refused"], ids=lambda case: case["fault"])
def test_refused_shares(case):
    with pytest.raises(ParameterError):
        shamir.combine({int(x): share for x, share in unhex(case["shares"]).items()}, case["threshold"])


def test_words():
    vectors, english = unhex(load("words")), Mnemonic("english")
    for case in vectors["digests"]:
        assert identity._words(case["digest"]) == english.to_mnemonic(case["entropy"])
    key = vectors["key"]
    assert identity.key_words(key["key"]) == english.to_mnemonic(key["entropy"])
    assert identity.fingerprint(key["key"]) == key["fingerprint"].hex()


@pytest.mark.parametrize("run", ["round-malicious", "round-semi-honest"])
def test_words_of_a_roster(run):
    script = load(run)
    roster = identity.Roster.decode(unhex(script["roster"]))
    assert roster.words() == Mnemonic("english").to_mnemonic(unhex(script["words"]))


@pytest.mark.parametrize("case", load("sealing"), ids=lambda case: f"{case['m']} elements")
def test_sealed_vectors(case):
    segment = Segment(count=case["m"], clip=1.0, step=1.0)
    schema = Schema(ring_bits=case["bits"], mac_lanes=case["lanes"], segments=(segment,))
    vector = RingVector.zeros(schema)
    vector.mask([masks.Mask(key=unhex(case["source"]), negate=False)])
    made = seal_vector(vector, unhex(case["key"]), unhex(case["ad"]))
    sealed = b"".join(made.chunks)
    assert (made.root.hex(), len(sealed), sha256(sealed).hexdigest()) == (case["root"], case["length"], case["sha256"])
    opened = open_vector(sealed, schema, unhex(case["key"]), unhex(case["ad"]), made.root)
    # Bits above b may differ in memory: on the wire and in every sum they do not exist.
    assert packing.pack(opened.elements, case["bits"]) == packing.pack(vector.elements, case["bits"])
