"""Inputs and results of every stateless function.

Spec: 01-wire §2, §4, §5; 02-protocol §3, §4.
"""

from typing import Any

from specs.ref import graph, keys, shamir, vector
from specs.ref.hashes import (
    LP,
    H,
    chain,
    merkle_path,
    merkle_root,
    merkle_siblings,
    root_of_path,
    sha256,
    tag,
    u8,
    u16,
    u32,
)
from specs.ref.samples import octets, refusal
from specs.ref.wire import KINDS

Case = dict[str, Any]
EH, CTX = octets("eh"), octets("ctx")
U, V, R, LANE = 3, 5, 7, 2
GIVEN = {"eh": EH, "ctx": CTX, "u": U, "v": V, "round": R, "lane": LANE, "kind": KINDS["Upload"]}


def derivations() -> Case:
    """Every label in the table of keys, from one set of arguments."""
    key = octets("key")
    curves = [octets("curve u"), octets("curve v")]
    x = keys.exchange(curves[0], keys.curve_public(curves[1]), "V-0404")
    kem_seed, ss, ct = octets("kem seed", 64), octets("ss"), octets("ct", 1088)
    publics = [keys.curve_public(curve) for curve in curves]
    pair = {"curve_secrets": curves, "curves": publics, "x": x, "ss": ss, "kem": keys.kem_public(kem_seed)}
    pair |= {"ciphertext": ct, "output": keys.pair_secret(EH, U, V, x, ss, *publics, pair["kem"], ct)}
    outputs = {
        "share-channel": keys.share_key(EH, key, U, V),
        "pair-chain": keys.chain_start(EH, key, "pair"),
        "pair-ratchet": keys.ratchet(EH, key, "pair", R),
        "pair-seed": keys.pair_seed(EH, key, R),
        "self-ratchet": keys.ratchet(EH, key, "self", R),
        "self-seed": keys.self_seed(EH, key, U, R),
        "vault-secret": keys.vault_secret(EH, key, U, R),
        "vault-key": keys.vault_key(EH, key, U, R),
        "channel-chain": keys.chain_start(EH, key, "channel"),
        "channel-ratchet": keys.ratchet(EH, key, "channel", R),
        "channel-key": keys.channel_key(EH, key, R, GIVEN["kind"]),
        "pair-mask": keys.pair_mask(EH, key, R, U, V, CTX),
        "self-mask": keys.self_mask(EH, key, R, U, CTX),
        "mac-session": keys.lane_session(EH, [key, ss]),
        "mac": keys.lane_key(EH, key, R, CTX, LANE),
        "group-chain": keys.kdf(EH, key + ss, "group-chain"),
        "group-ratchet": keys.kdf(EH, key, "group-ratchet", u32(R)),
        "group-key": keys.kdf(EH, key, "group-key", u32(R), CTX),
        "he-key": keys.kdf(EH, key, "he-key"),
        "sealed-shares": keys.kdf(EH, key, "sealed-shares", u16(U)),
        "slot-mac": keys.kdf(EH, key, "slot-mac", u16(LANE)),
    }
    names = (
        "nonce",
        "curve",
        "kem-d",
        "kem-z",
        "self-chain",
        "kappa",
        "vaults",
        "shamir",
        "salt",
        "result-key",
        "rounding",
        "opened-key",
    )
    bounds = {
        "share-blob": tag("share-blob") + LP(EH, u16(U), u16(V), u32(R), u32(4)),
        "vault-seal": tag("vault-seal") + LP(EH, u16(U), u32(R)),
        "vector-seal": tag("vector-seal") + LP(EH, u8(GIVEN["kind"]), u16(U), u32(R), CTX),
        "sealed-shares-seal": tag("sealed-shares-seal") + LP(EH, u16(U), u32(R), CTX),
    }
    return {
        "given": GIVEN | {"rounds": 4, "key": key, "second_key": ss},
        "outputs": outputs,
        "pair": pair | {"kem_seed": kem_seed},
        "draw": {name: keys.draw(key, name) for name in names},
        "associated_data": bounds,
        "seal": {"message": b"message", "ad": b"ad", "nonce": 3, "sealed": keys.seal(key, b"message", b"ad", 3)},
    }


def hashes() -> Case:
    """Every hash label."""
    value = octets("value")
    fields = {
        "manifest": [value],
        "nonce-commit": [EH, u16(U), value],
        "self-commit": [EH, u16(U), u32(R), value],
        "vault-commit": [EH, u16(U), u32(R), value],
        "mac-commit": [EH, u16(U), value],
        "edge": [EH, u32(R), u16(U), u16(V), value],
        "share": [EH, u16(U), u16(V), u32(R), u8(1), value],
        "vault": [EH, u16(U), u32(R), value],
        "channel-confirm": [EH, u16(U), value],
        "rotation": [CTX],
        "context": [EH, octets("transcript"), u32(R), value],
        "terms": [value],
        "fingerprint": [value],
        "key-words": [value],
        "chain": [bytes(32), value],
    }
    heads, head = [], bytes(32)
    for entry in (b"", b"one", octets("entry", 100)):
        head = chain(head, entry)
        heads.append({"entry": entry, "head": head})
    return {
        "given": GIVEN | {"value": value, "transcript": octets("transcript")},
        "hashes": {label: {"fields": parts, "output": H(label, *parts)} for label, parts in fields.items()},
        "chain": heads,
    }


def merkle() -> Case:
    trees = []
    for count in (0, 1, 2, 3, 4, 5, 6, 7, 8, 11):
        leaves = [octets(f"leaf {i}", i * 5) for i in range(count)]
        paths = [merkle_path(leaves, i) for i in range(count)]
        some = [i for i in range(count) if i % 5 in {1, 2}]
        part = {"positions": some, "siblings": merkle_siblings(leaves, some)}
        trees.append({"leaves": leaves, "root": merkle_root(leaves), "paths": paths, "part": part})
    leaves, path = trees[-1]["leaves"], trees[-1]["paths"][10]
    faults = {"path_too_short": path[:-1], "path_too_long": [*path, bytes(32)], "path_empty": []}
    return {
        "trees": trees,
        "refused": [
            {"fault": fault, "leaf": leaves[10], "position": 10, "count": 11, "path": bad,
             "check": refusal(root_of_path, leaves[10], 10, 11, bad, "V-0408")}
            for fault, bad in faults.items()
        ],
    }  # fmt: skip


def graphs() -> list[Case]:
    """Sparse graphs, and one whose complement is drawn."""
    sizes = ((5, 2), (12, 4), (12, 6), (12, 10), (40, 8))
    return [
        {"seed": octets(f"graph {n} {k}"), "degree": k,
         "neighbours": graph.draw(octets(f"graph {n} {k}"), range(3, 3 + 2 * n, 2), k)}
        for n, k in sizes
    ]  # fmt: skip


def masks() -> Case:
    """Whole masks of elements and lanes, and slices of a keystream."""
    whole = []
    for m, lanes, bits in ((1, 0, 2), (5, 2, 20), (4, 1, 32), (3, 3, 33), (2, 2, 40), (7, 64, 64)):
        key = octets(f"mask {m} {bits}")
        elements, tail = vector.mask(key, m, lanes, bits)
        whole.append({"key": key, "bits": bits, "elements": elements, "lanes": tail})
    slices = []
    for width, start in ((4, 0), (4, 1), (4, 16_383), (4, 2**30 - 2), (8, 0), (8, 1), (8, 8191), (8, 2**62 + 1)):
        key, count = octets(f"slice {width}"), 9
        block, skip = divmod(start * width, 16)
        stream = keys.keystream(key, skip + count * width, block)[skip:]
        words = [int.from_bytes(stream[i : i + width], "little") for i in range(0, len(stream), width)]
        slices.append({"key": key, "width": 8 * width, "start": start, "words": words})
    return {"masks": whole, "slices": slices}


def packing() -> Case:
    packed = []
    for bits in (1, 2, 7, 8, 12, 20, 31, 32, 33, 40, 63, 64):
        for count in (1, 5, 13):
            stream = octets(f"pack {bits} {count}", 8 * count)
            values = [int.from_bytes(stream[8 * i : 8 * i + 8], "big") % (1 << bits) for i in range(count)]
            values[0] = (1 << bits) - 1
            packed.append({"bits": bits, "values": values, "packed": vector.pack(values, bits)})
    faults = [("spare_bits", 12, 1, b"\xff\x1f"), ("spare_bits", 7, 1, b"\x80"), ("too_short", 12, 2, b"\1\2")]
    faults += [("too_long", 12, 2, bytes(4)), ("empty", 33, 1, b"")]
    return {
        "packed": packed,
        "refused": [
            {"fault": fault, "bits": bits, "count": count, "packed": data,
             "check": refusal(vector.unpack, data, count, bits, "V-0704")}
            for fault, bits, count, data in faults
        ],
    }  # fmt: skip


def quantisation() -> Case:
    reals = [0.0, -0.0, 0.25, 0.75, 1.25, -0.25, -0.75, 10.0, 10.24, 10.26, -10.26, 1e300, -1e308, 5e-324]
    forms = [(10.0, 0.5), (10.25, 0.5), (1.0, 1.0), (1e6, 1e-6), (0.3, 0.1)]
    # The largest number of levels; and a step so small that the quotient of a large value is infinite.
    forms += [(2.0**62, 1.0), (1e-300, 1e-301)]
    cases = []
    plain = {"count": len(reals), "beyond": 1, "rounding": 1, "rotation": 0}
    given = {"ctx": CTX, "rounding_key": octets("rounding")}
    for clip, step in forms:
        for rounding in (1, 2):
            segment = plain | {"clip": clip, "step": step, "rounding": rounding}
            integers, clipped = vector.elements(reals, {"segments": [segment]}, CTX, given["rounding_key"])
            case = {"segment": segment, "levels": vector.levels(clip, step), "reals": reals}
            cases.append(given | case | {"integers": integers, "clipped": clipped})
    refused = []
    for fault, x in (("not_a_number", "nan"), ("infinite", "inf"), ("infinite", "-inf"), ("beyond", "10.26")):
        for rounding in (1, 2):
            segment = plain | {"count": 1, "clip": 10.0, "step": 0.5, "beyond": 2, "rounding": rounding}
            verdict = refusal(vector.quantise, float(x), segment, 0.5)
            refused.append({"fault": fault, "segment": segment, "real": x, "verdict": verdict})
    return {"cases": cases, "refused": refused}


def rotation() -> list[Case]:
    """Vectors of several segments, their rotated form, and their integers rotated back."""
    cases = []
    for counts, ks in (([1], [1]), ([8], [3]), ([5, 11, 6], [0, 2, 16]), ([300], [5]), ([3, 64], [16, 6])):
        m = sum(counts)
        words = vector.mask(octets(f"rotation {m}"), m, 0, 20)[0]
        reals = [vector.signed(word, 20) / 1024 for word in words]
        form = {"clip": 4096.0, "step": 2.0**-10, "beyond": 1, "rounding": 1}
        segments = [form | {"count": count, "rotation": k} for count, k in zip(counts, ks, strict=True)]
        schema = {"ring_bits": 40, "mac_lanes": 0, "segments": segments}
        rotated = vector.rotate(reals, schema, CTX, back=False)
        integers, _ = vector.elements(reals, schema, CTX, CTX)
        case = {"ctx": CTX, "segments": segments, "reals": reals, "rotated": rotated}
        cases.append(case | {"integers": integers, "decoded": vector.reals(integers, schema, CTX)})
    return cases


def lanes() -> list[Case]:
    """Lanes of signed integers under a session's keys; a long vector is the centred mask of `source`."""
    session, source, m = octets("session"), octets("source"), 2 * vector.CHUNK + 1
    long = [vector.signed(x, 20) for x in vector.mask(source, m, 0, 20)[0]]
    short = ([0], [1, -1, 2**62, -(2**63), 2**63 - 1], list(range(-40, 40)))
    inputs = [({"integers": integers}, integers) for integers in short]
    inputs += [({"source": source, "m": m, "bits": 20}, long)]
    given = {"eh": EH, "ctx": CTX, "round": R, "session": session}
    keys_ = [keys.lane_key(EH, session, R, CTX, j) for j in range(3)]
    return [given | shown | {"lanes": [vector.lane(key, xs) for key in keys_]} for shown, xs in inputs]


def sharing() -> Case:
    shared = []
    for t, holders, length in ((1, [1], 2), (2, [1, 2, 3], 64), (3, [1, 2, 4, 65_534], 128), (7, [*range(1, 10)], 10)):
        secret, rand = octets(f"secret {t}", length), octets(f"rand {t}")
        dealt = shamir.share(secret, t, holders, rand)
        shared.append({"threshold": t, "secret": secret, "rand": rand, "shares": dealt})
    factors = [0, 1, 2, 3, 0x8000, 0x100B, 0xABCD, 0xFFFF]
    good = shamir.share(octets("secret", 8), 3, [1, 2, 3, 4], octets("rand"))
    broken = good | {4: bytes(8)}
    faults = {
        "share_off_the_polynomial": broken,
        "too_few_shares": {x: good[x] for x in (1, 2)},
        "holder_zero": good | {0: good[1]},
        "unequal_lengths": good | {4: good[4][:-2]},
        "odd_length": {x: share[:-1] for x, share in good.items()},
        "empty_shares": dict.fromkeys((1, 2, 3), b""),
        "no_shares": {},
    }
    return {
        "shared": shared,
        "products": [[a, b, shamir.multiply(a, b)] for a in factors for b in factors],
        "inverses": [[a, shamir.inverse(a)] for a in factors if a],
        "refused": [{"fault": fault, "threshold": 3, "shares": shares} for fault, shares in faults.items()],
    }


def words() -> Case:
    """The bytes behind the twelve words of rosters' digests and of a key, and a key's short name."""
    key = octets("key")
    shown = {"key": key, "entropy": keys.stretched(H("key-words", key)), "fingerprint": H("fingerprint", key)[:8]}
    digests = [{"digest": one, "entropy": keys.stretched(one)} for one in (bytes(32), octets("roster"))]
    return {"digests": digests, "key": shown}


def sealing() -> list[Case]:
    """Sealed vectors of one and several chunks; long ones by their hash. The vector is the mask of `source`."""
    cases = []
    for m, lanes_, bits in ((1, 0, 2), (3, 2, 20), (65_536, 1, 9), (65_537, 4, 33)):
        source, key, ad = octets(f"source {m}"), octets(f"key {m}"), octets("ad", 9)
        made = vector.mask(source, m, lanes_, bits)
        sealed = vector.seal_vector(key, made, bits, ad)
        case = {"source": source, "key": key, "ad": ad, "m": m, "lanes": lanes_, "bits": bits}
        case |= {"root": vector.vector_root(made, bits), "length": len(sealed), "sha256": sha256(sealed)}
        cases.append(case)
    return cases
