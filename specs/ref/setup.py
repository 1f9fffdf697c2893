"""The setup of an epoch, both sides of every step, in the order of the specification.

Spec: 02-protocol §5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

from specs.ref import graph, keys, shamir, wire
from specs.ref.frames import EVERYONE, Party, Value, advance, is_shared, make, parse, read, read_listing, root_of, show
from specs.ref.graph import Graph, seen
from specs.ref.hashes import LP, H, Refused, check, merkle_path, merkle_root, root_of_path, tag, u8, u16, u32
from specs.ref.keys import draw
from specs.ref.wire import RECORDS

ZERO = bytes(32)
Encapsulation = tuple[bytes, bytes]  # ciphertext, secret
Frames = Mapping[int, bytes]  # by sender or recipient


@dataclass(kw_only=True)
class Site(Party):
    roster: Value  # as confirmed by the site's officer
    run: bytes  # the run whose manifests the site awaits
    last_epoch: int = 0  # in that run; 0 before the first
    kept: list[bytes] = field(default_factory=list)  # keys of the last set of survivors of that run, in earlier epochs
    own: dict[str, bytes] = field(default_factory=dict)  # its frames by kind
    listed: set[int] = field(default_factory=set)  # senders in the previous list
    commitments: dict[int, bytes] = field(default_factory=dict)  # to nonces
    nonces: bytes = ZERO  # the hash of all of them
    prekeys: dict[int, Value] = field(default_factory=dict)
    pairs: dict[int, bytes] = field(default_factory=dict)  # P_uv by peer; the coordinator is 0
    shares: dict[int, bytes] = field(default_factory=dict)  # by dealer, of all rounds
    kappas: dict[int, bytes] = field(default_factory=dict)
    nonce: bytes = ZERO
    curve_secret: bytes = ZERO
    kem_seed: bytes = ZERO
    vault_random: bytes = ZERO
    # what the rounds need
    members: list[int] = field(default_factory=list)
    survivors: list[int] = field(default_factory=list)  # the last set that it agreed to; initially the members
    next_round: int = 0
    self_chain: bytes = ZERO
    channel_chain: bytes = ZERO
    pair_chains: dict[int, bytes] = field(default_factory=dict)
    session: bytes = ZERO


@dataclass(kw_only=True)
class Coordinator(Party):
    curve_secret: bytes = ZERO
    frames: dict[str, dict[int, Value]] = field(default_factory=dict)  # by kind and sender
    messages: dict[str, dict[int, Value]] = field(default_factory=dict)
    payloads: dict[str, dict[int, Value]] = field(default_factory=dict)
    pairs: dict[int, bytes] = field(default_factory=dict)
    channel_chains: dict[int, bytes] = field(default_factory=dict)  # initial values
    members: list[int] = field(default_factory=list)


def enter(me: Party, manifest: Value) -> None:
    me.manifest, me.keys = manifest, [manifest["coordinator"], *manifest["sites"]]
    me.eh = me.transcript = H("manifest", wire.encode(RECORDS["Manifest"], manifest))


def send(s: Site, kind: str, value: Value) -> bytes:
    s.own[kind] = make(s, kind, value)
    return s.own[kind]


def gather(c: Coordinator, kind: str, frames: Frames, earlier: str = "") -> dict[int, Value]:
    """Read the sites' frames for a step; they go into the list that closes it."""
    for u in frames:
        check(not earlier or u in c.messages[earlier], "V-0601")
    ordered = sorted(frames.items())
    c.messages[kind] = {u: read(c, frame, kind, sender=u) for u, frame in ordered}
    c.frames[kind] = {u: parse(frame) for u, frame in ordered}
    return c.frames[kind]


def close(c: Coordinator, kind: str, list_kind: str, field_: str, *bound: bytes, **each: Any) -> dict[int, bytes]:
    """Close a step with a list. `each` has the other fields, by site if a dict."""
    frames, sent = c.frames[kind], {}
    for u in [EVERYONE] if is_shared(c, list_kind) else list(frames):
        others = {name: value[u] if isinstance(value, dict) else value for name, value in each.items()}
        sent[u] = make(c, list_kind, {field_: show(c, frames, u)} | others, to=u)
    advance(c, list_kind, frames, root_of(frames), *bound)
    return sent


def _payload(record: str, data: bytes, rule: str) -> Value:
    try:
        return wire.decode(RECORDS[record], data)
    except Refused:
        raise Refused(rule) from None


def take(s: Site, listing: Value, kind: str, list_kind: str, *bound: bytes) -> dict[int, Value]:
    """A site checks a list in the setup."""
    messages, root = read_listing(s, listing, kind)  # V-0205, V-0206, V-0207
    own = [wire.encode(wire.FRAME, frame) for frame in listing["frames"] if frame["sender"] == s.index]
    check(own == [s.own[kind]], "V-0402")
    listed = set(listing["senders"])
    check(listed <= s.listed, "V-0403")
    check(len(listed) >= max(s.manifest["survivors"], s.manifest["threshold"] + s.manifest["slack"]), "V-0401")
    s.listed = listed
    advance(s, list_kind, listed, root, *bound)
    return messages


# --- 1. Manifest, Join, Cohort ---------------------------------------------------------------------------------------


def manifest(c: Coordinator, terms: Value, rand: bytes) -> bytes:
    c.curve_secret = draw(rand, "curve")
    enter(c, terms | {"coordinator": keys.public(c.seed), "coordinator_curve": keys.curve_public(c.curve_secret)})
    return make(c, "Manifest", c.manifest, to=EVERYONE)


def join(s: Site, frame: bytes, rand: bytes) -> bytes:
    m = wire.decode(RECORDS["Manifest"], parse(frame)["body"])
    enter(s, m)
    own, n, t, a, colluders = keys.public(s.seed), len(m["sites"]), m["threshold"], m["survivors"], m["colluders"]
    check(parse(frame)["epoch"] == s.eh, "V-0301")
    read(s, frame, "Manifest", sender=0)
    check(n >= 3 and m["sites"] == sorted(set(m["sites"])), "V-0302")
    check(m["run"] == s.run, "V-0303")
    check(m["project"] == s.roster["project"] and m["coordinator"] == s.roster["coordinator"], "V-0303")
    check(m["roster"] == H("roster", wire.encode(RECORDS["Roster"], s.roster)), "V-0303")
    check(set(m["sites"]) <= set(s.roster["sites"]), "V-0303")
    check(own in m["sites"], "V-0304")
    k = m["degree"]
    check(1 <= t <= n and (k or 2 * t > n + colluders), "V-0305")
    check(max(t, colluders + 2, 3) <= a <= n, "V-0306")
    check(m["epoch"] > s.last_epoch, "V-0308")
    check(1 <= m["rounds"] <= 4096 and (k or n) * m["rounds"] <= 16_384, "V-0309")
    check(1 <= m["first_round"] < 2**32 - m["rounds"], "V-0309")
    check(1 <= m["max_lanes"] <= 1 << 30 and m["max_ring_bits"] <= 64, "V-0310")
    check(m["privacy"] == b"", "V-0310")
    check(m["slack"] <= n - t, "V-0311")
    keys.exchange(ZERO, m["coordinator_curve"], "V-0312")
    check(m["setup_deadline"] <= m["expires"], "V-0313")
    check(not k or _is_private(m, n), "V-0314")
    check(not k or m["epoch"] <= 1024, "V-0315")
    check(not s.kept or set(m["sites"]) <= set(s.kept), "V-0317")
    check(not s.kept or m["loss_rule"] == 1 or (m["sites"] == s.kept and m["slack"] == n - t), "V-0317")
    s.index, s.listed, s.nonce = 1 + m["sites"].index(own), set(range(1, n + 1)), draw(rand, "nonce")
    s.graph = {s.index: []} if k else {}
    return send(s, "Join", {"nonce_commitment": H("nonce-commit", s.eh, u16(s.index), s.nonce)})


def _is_private(m: Value, joined: int) -> bool:
    k, t, a = m["degree"], m["threshold"], m["survivors"]
    return graph.is_private(joined, k, t, m["colluders"], joined - a, malicious=m["profile"] == 2)


def cohort(c: Coordinator, joins: Frames) -> dict[int, bytes]:
    frames = gather(c, "Join", joins)
    c.graph = {u: [] for u in frames} if c.manifest["degree"] else {}
    nonces = nonces_hash(c, [message["nonce_commitment"] for message in c.messages["Join"].values()])
    return close(c, "Join", "Cohort", "joins", nonces, nonces=nonces)


def nonces_hash(me: Party, commitments: Iterable[bytes]) -> bytes:
    return H("nonces", me.eh, b"".join(commitments))


# --- 2. Prekeys, PrekeyList ------------------------------------------------------------------------------------------


def prekeys(s: Site, frame: bytes, rand: bytes) -> bytes:
    value = read(s, frame, "Cohort", sender=0)
    s.nonces = value["nonces"]
    joins = take(s, value["joins"], "Join", "Cohort", s.nonces)
    check(not s.manifest["degree"] or _is_private(s.manifest, len(s.listed)), "V-0314")
    s.commitments = {u: message["nonce_commitment"] for u, message in joins.items()}
    check(s.manifest["degree"] or s.nonces == nonces_hash(s, s.commitments.values()), "V-0407")
    s.curve_secret, s.kem_seed = draw(rand, "curve"), draw(rand, "kem-d") + draw(rand, "kem-z")
    s.self_chain, s.vault_random = draw(rand, "self-chain"), draw(rand, "vaults")
    s.kappas[s.index] = draw(rand, "kappa")
    value = {
        "nonce": s.nonce,
        "curve": keys.curve_public(s.curve_secret),
        "kem": keys.kem_public(s.kem_seed),
        "self_commitments": [H("self-commit", s.eh, u16(s.index), u32(r), b) for r, b in _self_seeds(s).items()],
        "mac_commitment": H("mac-commit", s.eh, u16(s.index), s.kappas[s.index]),
    }
    return send(s, "Prekeys", value)


def _self_seeds(s: Site) -> dict[int, bytes]:
    seeds, chain = {}, s.self_chain
    for r in s.rounds():
        seeds[r] = keys.self_seed(s.eh, chain, s.index, r)
        chain = keys.ratchet(s.eh, chain, "self", r)
    return seeds


def take_prekeys(c: Coordinator, frames: Frames) -> dict[int, Value]:
    gather(c, "Prekeys", frames, "Join")
    found = c.messages["Prekeys"]
    commitments = {u: message["nonce_commitment"] for u, message in c.messages["Join"].items()}
    _check_prekeys(c, found, commitments, c.curve_secret, ("V-0603", "V-0604", "V-0605"))
    return found


def draw_graph(me: Party, nonces: Sequence[bytes], sites: Iterable[int]) -> Graph:
    return graph.draw(H("graph", me.eh, b"".join(nonces)), list(sites), me.manifest["degree"])


def prekey_list(c: Coordinator, drawn: Mapping[int, Encapsulation]) -> tuple[dict[int, bytes], bytes]:
    """`drawn` has an encapsulation to every site."""
    curve, found, nonces = c.manifest["coordinator_curve"], c.messages["Prekeys"], b""
    if c.manifest["degree"]:
        given = [message["nonce"] for message in found.values()]
        c.graph, nonces = draw_graph(c, given, found), b"".join(given)
    for v, peer in c.messages["Prekeys"].items():
        ct, ss = drawn[v]
        x = keys.exchange(c.curve_secret, peer["curve"], "V-0603")
        c.pairs[v] = keys.pair_secret(c.eh, 0, v, x, ss, curve, peer["curve"], peer["kem"], ct)
    ciphertexts = {v: drawn[v][0] for v in found}
    return close(c, "Prekeys", "PrekeyList", "prekeys", ciphertext=ciphertexts), nonces


def _check_prekeys(
    me: Party, found: dict[int, Value], commitments: Frames, secret: bytes, rules: Sequence[str]
) -> None:
    for v, value in found.items():
        keys.exchange(secret, value["curve"], rules[0])
        try:
            MLKEM768PublicKey.from_public_bytes(value["kem"])
        except ValueError:  # an unreduced coefficient
            raise Refused(rules[0]) from None
        check(len(value["self_commitments"]) == me.manifest["rounds"], rules[1])
        check(H("nonce-commit", me.eh, u16(v), value["nonce"]) == commitments[v], rules[2])
    curves = {value["curve"] for value in found.values()} | {me.manifest["coordinator_curve"]}
    check(len(curves) == len(found) + 1 and len({value["kem"] for value in found.values()}) == len(found), rules[0])


# --- 3. Encapsulations, EncapsulationList ----------------------------------------------------------------------------


def encapsulations(
    s: Site, frame: bytes, drawn: Mapping[int, Encapsulation], nonces: bytes = b""
) -> tuple[bytes, bytes]:
    """`drawn` has an encapsulation to every site of higher index that the site is shown."""
    value = read(s, frame, "PrekeyList", sender=0)
    if s.manifest["degree"]:
        _find_place(s, value["prekeys"]["senders"], nonces)
    s.prekeys = take(s, value["prekeys"], "Prekeys", "PrekeyList")
    _check_prekeys(s, s.prekeys, s.commitments, s.curve_secret, ("V-0404", "V-0405", "V-0406"))
    _meet_lower(s, 0, s.manifest["coordinator_curve"], value["ciphertext"])
    s.channel_chain = keys.chain_start(s.eh, s.pairs[0], "channel")
    for v, (ct, ss) in drawn.items():
        peer = s.prekeys[v]
        x, own = keys.exchange(s.curve_secret, peer["curve"], "V-0404"), s.prekeys[s.index]["curve"]
        s.pairs[v] = keys.pair_secret(s.eh, s.index, v, x, ss, own, peer["curve"], peer["kem"], ct)
    slots = {v: ct for v, (ct, _) in drawn.items()}
    root = merkle_root([slots[v] for v in sorted(slots)])
    return send(s, "Encapsulations", {"root": root}), wire.encode(RECORDS["EncapsulationPackage"], {"slots": slots})


def _find_place(s: Site, senders: list[int], nonces: bytes) -> None:
    """Set the site's neighbours, and theirs."""
    check(set(senders) == s.listed and len(nonces) == 32 * len(senders), "V-0407")
    given = {u: nonces[32 * i : 32 * i + 32] for i, u in enumerate(senders)}
    s.commitments = {u: H("nonce-commit", s.eh, u16(u), nonce) for u, nonce in given.items()}
    check(nonces_hash(s, s.commitments.values()) == s.nonces, "V-0407")
    s.graph = draw_graph(s, list(given.values()), senders)


def _meet_lower(s: Site, u: int, curve: bytes, ct: bytes) -> None:
    own = s.prekeys[s.index]
    x, ss = keys.exchange(s.curve_secret, curve, "V-0404"), keys.decapsulate(s.kem_seed, ct)
    s.pairs[u] = keys.pair_secret(s.eh, u, s.index, x, ss, curve, own["curve"], own["kem"], ct)


def encapsulation_list(c: Coordinator, frames: Frames, payloads: Frames) -> dict[int, bytes]:
    gather(c, "Encapsulations", frames, "Prekeys")
    slots: dict[int, dict[int, bytes]] = {}
    for u, message in c.messages["Encapsulations"].items():
        slots[u] = _payload("EncapsulationPackage", payloads[u], "V-0606")["slots"]
        check(sorted(slots[u]) == [v for v in seen(c.graph, u, c.messages["Prekeys"]) if v > u], "V-0606")
        check(merkle_root([slots[u][v] for v in sorted(slots[u])]) == message["root"], "V-0606")
    proven = {
        v: {u: {"ciphertext": slots[u][v], "path": _path(slots[u], v)} for u in slots if v in slots[u]} for v in slots
    }
    return close(c, "Encapsulations", "EncapsulationList", "headers", slots=proven)


def _path(slots: Mapping[int, bytes], v: int) -> list[bytes]:
    order = sorted(slots)
    return merkle_path([slots[w] for w in order], order.index(v))


# --- 4. Shares, ShareList --------------------------------------------------------------------------------------------


def shares(s: Site, frame: bytes, rand: bytes) -> tuple[bytes, bytes]:
    value, earlier = read(s, frame, "EncapsulationList", sender=0), s.listed
    headers = take(s, value["headers"], "Encapsulations", "EncapsulationList")
    check(list(value["slots"]) == [u for u in headers if u < s.index], "V-0408")
    for u, slot in value["slots"].items():
        order = [v for v in seen(s.graph, u, earlier) if v > u]
        root = root_of_path(slot["ciphertext"], order.index(s.index), len(order), slot["path"], "V-0408")
        check(root == headers[u]["root"], "V-0408")
        _meet_lower(s, u, s.prekeys[u]["curve"], slot["ciphertext"])

    u, holders, peers = s.index, graph.holders(s.graph, s.index, headers), [v for v in headers if v != s.index]
    b = _self_seeds(s)
    e = {r: keys.vault_secret(s.eh, s.vault_random, u, r) for r in s.rounds()}
    k = {v: _pair_seeds(s, v) for v in peers}
    secret = b"".join(b[r] + e[r] for r in s.rounds())
    dealt = shamir.share(secret, s.manifest["threshold"], holders, draw(rand, "shamir"))
    slots = {}
    for v in holders:
        slots[v] = {"sealed": b"", "edges": [], "leaves": _leaves(s, u, v, dealt[v])}
    for v in peers:
        key = keys.share_key(s.eh, s.pairs[v], u, v)
        slots[v]["sealed"] = keys.seal(key, dealt[v] + s.kappas[u], share_ad(s, u, v))
        slots[v]["edges"] = [edge(s, r, u, v, k[v][r]) for r in s.rounds()]
    if u in holders:
        s.shares[u] = dealt[u]
    vaults = []
    for r in s.rounds():
        seeds = b"".join(k[v][r] if v in k else ZERO for v in graph.ends(s.graph, u, len(s.keys) - 1))
        vaults.append(keys.seal(keys.vault_key(s.eh, e[r], u, r), seeds, vault_ad(s, u, r)))
    body = {
        "vault_hashes": [H("vault", s.eh, u16(u), u32(r), T) for r, T in zip(s.rounds(), vaults, strict=True)],
        "vault_commitments": [H("vault-commit", s.eh, u16(u), u32(r), e[r]) for r in s.rounds()],
        "channel_confirmation": H("channel-confirm", s.eh, u16(u), s.channel_chain),
        "root": merkle_root([wire.encode(wire.SHARE_SLOT, slots[v]) for v in holders]),
    }
    return send(s, "Shares", body), wire.encode(RECORDS["SharePackage"], {"vaults": vaults, "slots": slots})


def _pair_seeds(s: Site, v: int) -> dict[int, bytes]:
    seeds, chain = {}, keys.chain_start(s.eh, s.pairs[v], "pair")
    for r in s.rounds():
        seeds[r] = keys.pair_seed(s.eh, chain, r)
        chain = keys.ratchet(s.eh, chain, "pair", r)
    return seeds


def leaf(me: Party, u: int, v: int, r: int, which: int, share: bytes) -> bytes:
    """The hash of u's share for v of b (0) or e (1)."""
    return H("share", me.eh, u16(u), u16(v), u32(r), u8(which), share)


def _leaves(me: Party, u: int, v: int, dealt: bytes) -> list[bytes]:
    return [leaf(me, u, v, r, which, share_of(me, dealt, r, which)) for r in me.rounds() for which in (0, 1)]


def share_of(me: Party, dealt: bytes, r: int, which: int) -> bytes:
    """The share of b (0) or e (1) of round r, from one dealer's shares for one holder."""
    at = 64 * (r - me.manifest["first_round"]) + 32 * which
    return dealt[at : at + 32]


def edge(me: Party, r: int, u: int, v: int, seed: bytes) -> bytes:
    return H("edge", me.eh, u32(r), u16(min(u, v)), u16(max(u, v)), seed)


def vault_ad(me: Party, u: int, r: int) -> bytes:
    return tag("vault-seal") + LP(me.eh, u16(u), u32(r))


def share_ad(me: Party, u: int, v: int) -> bytes:
    return tag("share-blob") + LP(me.eh, u16(u), u16(v), u32(me.manifest["first_round"]), u32(me.manifest["rounds"]))


def share_list(c: Coordinator, frames: Frames, payloads: Frames) -> dict[int, bytes]:
    gather(c, "Shares", frames, "Encapsulations")
    found = c.messages["Shares"]
    c.payloads["Shares"] = {u: _payload("SharePackage", payloads[u], "V-0607") for u in found}
    encoded: dict[int, dict[int, bytes]] = {}
    for u, package in c.payloads["Shares"].items():
        counts = [len(x) for x in (package["vaults"], found[u]["vault_hashes"], found[u]["vault_commitments"])]
        check(set(counts) == {c.manifest["rounds"]}, "V-0607")
        vaults = [H("vault", c.eh, u16(u), u32(r), T) for r, T in zip(c.rounds(), package["vaults"], strict=True)]
        encoded[u] = {v: wire.encode(wire.SHARE_SLOT, slot) for v, slot in package["slots"].items()}
        holders = graph.holders(c.graph, u, c.messages["Encapsulations"])
        check(vaults == found[u]["vault_hashes"] and list(encoded[u]) == holders, "V-0607")
        check(merkle_root(list(encoded[u].values())) == found[u]["root"], "V-0607")
        c.channel_chains[u] = keys.chain_start(c.eh, c.pairs[u], "channel")
        confirmed = H("channel-confirm", c.eh, u16(u), c.channel_chains[u])
        check(found[u]["channel_confirmation"] == confirmed, "V-0608")
    proven: dict[int, Value] = {v: {} for v in found}
    for u in found:
        for v, slot in c.payloads["Shares"][u]["slots"].items():
            if v in found and v != u:
                proven[v][u] = {"slot": slot, "path": _path(encoded[u], v)}
    return close(c, "Shares", "ShareList", "headers", slots=proven)


# --- 5. Receipt, Ready -----------------------------------------------------------------------------------------------


def receipt(s: Site, frame: bytes) -> bytes:
    value = read(s, frame, "ShareList", sender=0)
    earlier = s.listed
    headers = take(s, value["headers"], "Shares", "ShareList")
    check(list(value["slots"]) == [u for u in headers if u != s.index], "V-0408")
    refused = {}
    for u, proven in value["slots"].items():
        encoded, holders = wire.encode(wire.SHARE_SLOT, proven["slot"]), graph.holders(s.graph, u, earlier)
        root = root_of_path(encoded, holders.index(s.index), len(holders), proven["path"], "V-0408")
        check(root == headers[u]["root"], "V-0408")
        try:
            _accept(s, u, headers[u], proven["slot"])
        except Refused as fault:
            refused[u] = int(str(fault)[2:])
    return send(s, "Receipt", {"accepted": [u for u in value["slots"] if u not in refused], "refused": refused})


def _accept(s: Site, u: int, header: Value, slot: Value) -> None:
    B, v = s.manifest["rounds"], s.index
    counts = [len(x) for x in (header["vault_hashes"], header["vault_commitments"], slot["edges"])]
    check(counts == [B, B, B], "V-0413")
    opened = keys.unseal(keys.share_key(s.eh, s.pairs[u], u, v), slot["sealed"], share_ad(s, u, v), "V-0409")
    check(len(opened) == 64 * B + 32, "V-0409")
    dealt, kappa = opened[:-32], opened[-32:]
    check(slot["leaves"] == _leaves(s, u, v, dealt), "V-0410")
    check(H("mac-commit", s.eh, u16(u), kappa) == s.prekeys[u]["mac_commitment"], "V-0411")
    check(slot["edges"] == [edge(s, r, u, v, seed) for r, seed in _pair_seeds(s, u).items()], "V-0412")
    s.shares[u], s.kappas[u] = dealt, kappa


def ready(c: Coordinator, frames: Frames, members: Sequence[int]) -> dict[int, bytes]:
    gather(c, "Receipt", frames, "Shares")
    c.members = sorted(members)
    c.frames["Receipt"] = {u: c.frames["Receipt"][u] for u in c.members}
    return close(c, "Receipt", "Ready", "receipts")


def finish_setup(s: Site, frame: bytes) -> None:
    listed = read(s, frame, "Ready", sender=0)["receipts"]
    check(s.index in listed["senders"], "V-0416")
    receipts = take(s, listed, "Receipt", "Ready")
    s.members = s.survivors = sorted(s.listed)
    s.next_round = s.manifest["first_round"]
    for u, message in receipts.items():
        check({v for v in seen(s.graph, u, s.members) if v != u} <= set(message["accepted"]), "V-0414")
    s.pair_chains = {v: keys.chain_start(s.eh, s.pairs[v], "pair") for v in receipts if v != s.index}
    s.session = keys.lane_session(s.eh, [s.kappas[u] for u in receipts])
