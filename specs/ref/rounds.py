"""One round, both sides of every step, in the order of the specification.

Spec: 02-protocol §6.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from specs.ref import keys, shamir, vector, wire
from specs.ref.frames import (
    EVERYONE,
    Party,
    Value,
    is_shared,
    joined,
    make,
    parse,
    read,
    read_list,
    read_listing,
    root_of,
    show,
)
from specs.ref.graph import ends, holders, seen
from specs.ref.hashes import LP, H, check, tag, u8, u16, u32
from specs.ref.setup import Coordinator, Frames, Site, edge, leaf, share_of, vault_ad
from specs.ref.wire import KINDS, RECORDS


@dataclass(kw_only=True)
class Round:
    """What a party knows about its current round."""

    r: int
    open: Value
    ctx: bytes
    uploads: dict[int, Value] = field(default_factory=dict)  # at the coordinator: complete frames of the survivors
    survivors: list[int] = field(default_factory=list)
    statement: bytes = b""
    vectors: dict[int, vector.Vector] = field(default_factory=dict)  # masked; the coordinator's
    # a site's, as of this round
    pair_chains: dict[int, bytes] = field(default_factory=dict)
    self_chain: bytes = b""
    channel_chain: bytes = b""
    own: bytes = b""  # its upload

    def shape(self) -> tuple[int, int, int]:
        """m, L, b."""
        schema = self.open["schema"]
        return vector.size(schema), schema["mac_lanes"], schema["ring_bits"]


def context(me: Party, r: int, opening: Value) -> bytes:
    return H("context", me.eh, me.transcript, u32(r), wire.encode(RECORDS["Open"], opening))


def _moved(me: Party, chain: bytes, name: str, start: int, r: int) -> bytes:
    for i in range(start, r):
        chain = keys.ratchet(me.eh, chain, name, i)
    return chain


def _channel(c: Coordinator, u: int, r: int, kind: str) -> bytes:
    chain = _moved(c, c.channel_chains[u], "channel", c.manifest["first_round"], r)
    return keys.channel_key(c.eh, chain, r, KINDS[kind])


def _own_channel(s: Site, kind: str) -> bytes:
    return keys.channel_key(s.eh, s.here.channel_chain, s.here.r, KINDS[kind])


def vector_ad(me: Party, kind: str, u: int) -> bytes:
    return tag("vector-seal") + LP(me.eh, u8(KINDS[kind]), u16(u), u32(me.here.r), me.here.ctx)


# --- 1. Open ---------------------------------------------------------------------------------------------------------


def open_round(c: Coordinator, r: int, opening: Value, rand: bytes) -> dict[int, bytes]:
    """`opening` is all of Open except its salt."""
    opening = {"salt": keys.draw(rand, "salt")} | opening
    c.here = Round(r=r, open=opening, ctx=context(c, r, opening))
    return {u: make(c, "Open", opening, r=r, to=u, key=_channel(c, u, r, "Open")) for u in opening["roster"]}


def enter_round(s: Site, frame: bytes) -> None:
    r = parse(frame)["round"]
    check(r >= s.next_round, "V-0501")
    check(r in s.rounds(), "V-0502")
    chain = _moved(s, s.channel_chain, "channel", s.next_round, r)
    opening = read(s, frame, "Open", sender=0, r=r, key=keys.channel_key(s.eh, chain, r, KINDS["Open"]))
    roster = opening["roster"]
    _check_schema(s, opening["schema"], len(roster))
    check(set(roster) <= set(s.survivors) and s.index in roster, "V-0505")
    check(len(roster) >= s.manifest["survivors"], "V-0505")
    s.here = Round(r=r, open=opening, ctx=context(s, r, opening), channel_chain=chain)
    s.here.self_chain = _moved(s, s.self_chain, "self", s.next_round, r)
    s.here.pair_chains = {v: _moved(s, chain, "pair", s.next_round, r) for v, chain in s.pair_chains.items()}
    s.channel_chain = keys.ratchet(s.eh, s.here.channel_chain, "channel", r)
    s.self_chain = keys.ratchet(s.eh, s.here.self_chain, "self", r)
    s.pair_chains = {v: keys.ratchet(s.eh, chain, "pair", r) for v, chain in s.here.pair_chains.items()}
    s.next_round = r + 1


def _check_schema(s: Site, schema: Value, vectors: int) -> None:
    b, lanes, m = schema["ring_bits"], schema["mac_lanes"], vector.size(schema)
    check(2 <= b <= min(64, s.manifest["max_ring_bits"]) and 1 <= m <= s.manifest["max_lanes"], "V-0504")
    check(lanes > 0 or s.manifest["profile"] == 1 or s.manifest["degree"] > 0, "V-0504")
    check(lanes == 0 or not s.manifest["degree"], "V-0515")
    check(lanes == 0 or 64 / (65 - b) <= lanes <= 64, "V-0504")
    for segment in schema["segments"]:
        check(segment["count"] and segment["clip"] > 0 and segment["step"] > 0, "V-0504")
        check(segment["clip"] / segment["step"] <= 2**62, "V-0504")
        check(segment["rotation"] <= 16 and vector.levels(segment["clip"], segment["step"]) >= 1, "V-0504")
        check(vectors * vector.bound(segment) < 1 << (b - 1), "V-0504")


# --- 2. Upload -------------------------------------------------------------------------------------------------------


def upload(s: Site, values: Sequence[float], rand: bytes) -> tuple[bytes, bytes]:
    m, lanes, b = s.here.shape()
    integers, _clipped = vector.elements(values, s.here.open["schema"], s.here.ctx, keys.draw(rand, "rounding"))
    plain = ([x % (1 << b) for x in integers], _lanes(s, integers, [s.index]))
    own = keys.self_seed(s.eh, s.here.self_chain, s.index, s.here.r)
    masks = [(1, _self_mask(s, s.index, own))]
    for v in seen(s.graph, s.index, s.here.open["roster"]):
        if v != s.index:
            seed = keys.pair_seed(s.eh, s.here.pair_chains[v], s.here.r)
            masks.append((_sign(s.index, v), _pair_mask(s, s.index, v, seed)))
    masked = vector.add([(1, plain), *masks], m, lanes, b)
    body = {"context": s.here.ctx, "root": vector.vector_root(masked, b)}
    s.here.own = make(s, "Upload", body, r=s.here.r)
    return s.here.own, vector.seal_vector(_own_channel(s, "Upload"), masked, b, vector_ad(s, "Upload", s.index))


def _lanes(s: Site, integers: Sequence[int], sites: Iterable[int]) -> list[int]:
    marks = vector.presence(sites, len(s.manifest["sites"]))
    return [vector.lane(_lane_key(s, j), [*integers, *marks]) for j in range(s.here.shape()[1])]


def _sign(u: int, v: int) -> int:
    return 1 if u < v else -1


def _self_mask(me: Party, u: int, seed: bytes) -> vector.Vector:
    return vector.mask(keys.self_mask(me.eh, seed, me.here.r, u, me.here.ctx), *me.here.shape())


def _pair_mask(me: Party, u: int, v: int, seed: bytes) -> vector.Vector:
    return vector.mask(keys.pair_mask(me.eh, seed, me.here.r, u, v, me.here.ctx), *me.here.shape())


def _lane_key(s: Site, j: int) -> bytes:
    return keys.lane_key(s.eh, s.session, s.here.r, s.here.ctx, j)


def accept(c: Coordinator, u: int, frame: bytes, payload: bytes) -> None:
    message = read(c, frame, "Upload", sender=u, r=c.here.r)
    check(u in c.here.open["roster"], "V-0701")
    check(message["context"] == c.here.ctx, "V-0703")
    key, ad = _channel(c, u, c.here.r, "Upload"), vector_ad(c, "Upload", u)
    masked = vector.unseal_vector(key, payload, *c.here.shape(), ad, "V-0704")
    check(vector.vector_root(masked, c.here.shape()[2]) == message["root"], "V-0704")
    c.here.uploads[u], c.here.vectors[u] = parse(frame), masked


# --- 3. Survivors ----------------------------------------------------------------------------------------------------


def survivors(c: Coordinator) -> dict[int, bytes]:
    c.here.uploads = dict(sorted(c.here.uploads.items()))
    c.here.survivors = list(c.here.uploads)
    c.here.statement = _statement(c, root_of(c.here.uploads))
    return _to_survivors(c, "Survivors", lambda u: {"uploads": show(c, c.here.uploads, u)})


def _to_survivors(c: Coordinator, kind: str, value: Callable[[int], Value]) -> dict[int, bytes]:
    recipients = [EVERYONE] if is_shared(c, kind) else c.here.survivors
    return {u: make(c, kind, value(u), r=c.here.r, to=u) for u in recipients}


def _statement(me: Party, root: bytes) -> bytes:
    return H("consistency", me.eh, u32(me.here.r), me.here.ctx, joined(me.here.survivors), root)


def check_survivors(s: Site, frame: bytes) -> None:
    listing = read(s, frame, "Survivors", sender=0, r=s.here.r)["uploads"]
    frames, senders = listing["frames"], listing["senders"]
    messages, root = read_listing(s, listing, "Upload", s.here.r)
    check(all(message["context"] == s.here.ctx for message in messages.values()), "V-0507")
    check(set(senders) <= set(s.here.open["roster"]), "V-0508")
    check([wire.encode(wire.FRAME, f) for f in frames if f["sender"] == s.index] == [s.here.own], "V-0509")
    check(len(senders) >= s.manifest["survivors"], "V-0510")
    check(s.manifest["loss_rule"] != 3 or senders == list(s.survivors), "V-0511")
    s.here.survivors = senders
    s.here.statement = _statement(s, root)


# --- 4. Consistency, Quorum ------------------------------------------------------------------------------------------


def confirm(s: Site) -> bytes:
    """The site's policy agrees: it signs the set, or answers immediately (semi-honest, complete graph)."""
    s.survivors = s.here.survivors
    if not signs(s):
        return unmask(s)
    return make(s, "Consistency", {"statement": s.here.statement}, r=s.here.r)


def signs(me: Party) -> bool:
    return bool(me.manifest["profile"] == 2 or me.manifest["degree"])


def quorum(c: Coordinator, frames: Frames) -> dict[int, bytes]:
    for u, frame in frames.items():
        check(read(c, frame, "Consistency", sender=u, r=c.here.r)["statement"] == c.here.statement, "V-0705")

    def value(u: int) -> Value:
        shown = sorted(frames) if u == EVERYONE else seen(c.graph, u, frames)
        return {"signatures": [parse(frames[v]) for v in shown]}

    return _to_survivors(c, "Quorum", value)


def answer(s: Site, frame: bytes) -> bytes:
    signed = read_list(s, read(s, frame, "Quorum", sender=0, r=s.here.r)["signatures"], "Consistency", s.here.r)
    agreeing = [u for u, m in signed.items() if u in s.here.survivors and m["statement"] == s.here.statement]
    check(len(holders(s.graph, s.index, agreeing)) >= s.manifest["threshold"], "V-0512")
    return unmask(s)


# --- 5. Unmask -------------------------------------------------------------------------------------------------------


def unmask(s: Site) -> bytes:
    """One share per site asked: of its self-mask seed if it survived, otherwise of its vault secret."""
    asked = holders(s.graph, s.index, s.here.open["roster"])
    given = {v: share_of(s, s.shares[v], s.here.r, int(v not in s.here.survivors)) for v in asked}
    return make(s, "Unmask", {"shares": given}, r=s.here.r, key=_own_channel(s, "Unmask"))


def take_answer(c: Coordinator, h: int, frame: bytes) -> dict[int, bytes]:
    """Holder h's shares by dealer, each checked to be the one dealt."""
    r, i = c.here.r, c.here.r - c.manifest["first_round"]
    shares = read(c, frame, "Unmask", sender=h, r=r, key=_channel(c, h, r, "Unmask"))["shares"]
    check(list(shares) == holders(c.graph, h, c.here.open["roster"]), "V-0706")
    for v, share in shares.items():
        lost = int(v not in c.here.uploads)
        dealt = c.payloads["Shares"][v]["slots"][h]["leaves"][2 * i + lost]
        check(leaf(c, v, h, r, lost, share) == dealt, "V-0707")
    return shares


def secrets(c: Coordinator, frames: Frames) -> dict[int, bytes]:
    """Each survivor's b and each lost site's e."""
    answers = {h: take_answer(c, h, frame) for h, frame in frames.items()}
    i, found = c.here.r - c.manifest["first_round"], {}
    for v in c.here.open["roster"]:
        found[v] = shamir.combine({h: shares[v] for h, shares in answers.items() if v in shares})
        if v in c.here.uploads:
            label, committed = "self-commit", c.messages["Prekeys"][v]["self_commitments"][i]
        else:
            label, committed = "vault-commit", c.messages["Shares"][v]["vault_commitments"][i]
        check(H(label, c.eh, u16(v), u32(c.here.r), found[v]) == committed, "V-0708")
    return found


def vault_seeds(c: Coordinator, w: int, secret: bytes) -> dict[int, bytes]:
    """A lost site's pair seeds with the survivors."""
    r, dealt = c.here.r, c.payloads["Shares"][w]
    i = r - c.manifest["first_round"]
    opened = keys.unseal(keys.vault_key(c.eh, secret, w, r), dealt["vaults"][i], vault_ad(c, w, r), "V-0709")
    places = ends(c.graph, w, len(c.keys) - 1)
    seeds = {u: opened[32 * i : 32 * i + 32] for i, u in enumerate(places) if u in c.here.uploads}
    for u, seed in seeds.items():
        check(edge(c, r, u, w, seed) == dealt["slots"][u]["edges"][i], "V-0709")
    return seeds


# --- 6. The sum, Result ----------------------------------------------------------------------------------------------


def the_sum(c: Coordinator, found: Mapping[int, bytes]) -> vector.Vector:
    parts = [(1, masked) for masked in c.here.vectors.values()]
    parts += [(-1, _self_mask(c, u, found[u])) for u in c.here.uploads]
    for w in c.here.open["roster"]:
        if w not in c.here.uploads:
            parts += [(-_sign(u, w), _pair_mask(c, u, w, k)) for u, k in vault_seeds(c, w, found[w]).items()]
    return vector.add(parts, *c.here.shape())


def result(c: Coordinator, total: vector.Vector, rand: bytes) -> tuple[dict[int, bytes], bytes]:
    b, r = c.here.shape()[2], c.here.r
    body = {"statement": c.here.statement, "root": vector.vector_root(total, b), "key": keys.draw(rand, "result-key")}
    sent = {u: make(c, "Result", body, r=r, to=u, key=_channel(c, u, r, "Result")) for u in c.here.uploads}
    return sent, vector.seal_vector(body["key"], total, b, vector_ad(c, "Result", 0))


def finish_round(s: Site, frame: bytes, payload: bytes) -> list[int]:
    """The published sum as signed integers."""
    b = s.here.shape()[2]
    body = read(s, frame, "Result", sender=0, r=s.here.r, key=_own_channel(s, "Result"))
    total = vector.unseal_vector(body["key"], payload, *s.here.shape(), vector_ad(s, "Result", 0), "V-0513")
    check(body["statement"] == s.here.statement and vector.vector_root(total, b) == body["root"], "V-0513")
    integers = [vector.signed(x, b) for x in total[0]]
    check(_lanes(s, integers, s.here.survivors) == total[1], "V-0514")
    return integers
