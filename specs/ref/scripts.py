"""The runs that are played, and what each of their steps refuses.

Spec: 02-protocol §5, §6; 03-checks. A refusal is a message of a run, changed and signed again by its author, for the
party that was about to receive the right one. A dealer that deals wrongly is refused in the receipt instead.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

from specs.ref import keys, rounds, setup, wire
from specs.ref.frames import Value, parse, show
from specs.ref.hashes import H, merkle_path, merkle_root
from specs.ref.play import Plan, RoundPlan, Tape
from specs.ref.samples import octets, refusal
from specs.ref.wire import FRAME, HEADER, KINDS, RECORDS, SEALED, decode, encode

_TERMS = {
    "suite": 1, "run": octets("run", 16), "epoch": 1, "slack": 0, "setup_deadline": 1_900_000_000,
    "expires": 1_900_086_400, "max_lanes": 1000, "max_ring_bits": 64, "degree": 0, "privacy": b"",
}  # fmt: skip
_SEGMENTS = [
    {"count": 5, "clip": 10.0, "step": 0.5, "beyond": 1, "rounding": 1, "rotation": 0},
    {"count": 2, "clip": 1000.0, "step": 1.0, "beyond": 2, "rounding": 1, "rotation": 0},
]
_OPTIONS = [
    # Blocks of four entries and of one; a clip between two levels.
    _SEGMENTS[0] | {"clip": 1000.3, "rounding": 2, "rotation": 2},
    _SEGMENTS[1] | {"rounding": 2},
]


def _opening(ring_bits: int, mac_lanes: int, segments: list[Value] = _SEGMENTS) -> Value:
    schema = {"ring_bits": ring_bits, "mac_lanes": mac_lanes, "segments": segments}
    return {"query": b"how many", "schema": schema, "deadline": 1_900_003_600}


def _values(u: int) -> list[float]:
    return [0.5 * u, -0.75 * u, 3.3, 1e9, -1e9, 100.0 + u, -1000.0]


def _mild_values(u: int) -> list[float]:
    return [0.3 * u, -0.7 * u, 3.3, 1800.1, -1000.2, 100.4 + u, -999.9]


PLANS = {
    # Malicious, with lanes: a full round; then one, rotated and rounded at random, in which site 3 is lost before it
    # uploads, and its vault is opened.
    "malicious": Plan(
        name="malicious",
        n=4,
        terms=_TERMS | {
            "profile": 2, "loss_rule": 1, "first_round": 1, "rounds": 2, "threshold": 3, "colluders": 1, "survivors": 3
        },
        rounds=(
            RoundPlan(opening=_opening(40, 3), values={u: _values(u) for u in (1, 2, 3, 4)}),
            RoundPlan(opening=_opening(17, 2, _OPTIONS), values={u: _mild_values(u) for u in (4, 1, 2)}),
        ),
    ),
    # Semi-honest, no lanes: site 5 is lost in the setup, site 2 after its upload, which stays in the sum. If an
    # upload were lost, the run would end.
    "semi-honest": Plan(
        name="semi-honest",
        n=5,
        terms=_TERMS | {
            "profile": 1, "loss_rule": 3, "first_round": 7, "rounds": 1, "threshold": 3, "colluders": 0, "survivors": 3
        },
        last_message={5: "Prekeys"},
        rounds=(
            RoundPlan(opening=_opening(20, 0), values={u: _values(u) for u in (1, 2, 3, 4)}, silent=frozenset({2})),
        ),
    ),
    # Malicious, on a graph in which each of seven sites has four neighbours: site 3 is lost before it uploads.
    "sparse": Plan(
        name="sparse",
        n=7,
        terms=_TERMS | {
            "profile": 2, "loss_rule": 1, "first_round": 1, "rounds": 1, "threshold": 3, "colluders": 1, "survivors": 5,
            "degree": 4,
        },
        rounds=(RoundPlan(opening=_opening(20, 0), values={u: _values(u) for u in (1, 2, 4, 5, 6, 7)}),),
    ),
}  # fmt: skip


def all_of(frames: list[Value]) -> Value:
    """A list shown in full."""
    return {"senders": sorted({frame["sender"] for frame in frames}), "frames": frames, "siblings": []}


# --- who refuses -----------------------------------------------------------------------------------------------------

_ANY = bytes(32)
_SITE: dict[str, Callable[[setup.Site, bytes, bytes], Any]] = {
    "Manifest": lambda s, frame, _: setup.join(s, frame, _ANY),
    "Cohort": lambda s, frame, _: setup.prekeys(s, frame, _ANY),
    "PrekeyList": lambda s, frame, nonces: setup.encapsulations(s, frame, {}, nonces),
    "EncapsulationList": lambda s, frame, _: setup.shares(s, frame, _ANY),
    "ShareList": lambda s, frame, _: setup.receipt(s, frame),
    "Ready": lambda s, frame, _: setup.finish_setup(s, frame),
    "Open": lambda s, frame, _: rounds.enter_round(s, frame),
    "Survivors": lambda s, frame, _: rounds.check_survivors(s, frame),
    "Quorum": lambda s, frame, _: rounds.answer(s, frame),
    "Result": rounds.finish_round,
}
_COORDINATOR: dict[str, Callable[[setup.Coordinator, int, bytes, bytes], Any]] = {
    "Join": lambda c, u, frame, _: setup.cohort(c, {u: frame}),
    "Prekeys": lambda c, u, frame, _: setup.take_prekeys(c, {u: frame}),
    "Encapsulations": lambda c, u, frame, payload: setup.encapsulation_list(c, {u: frame}, {u: payload}),
    "Shares": lambda c, u, frame, payload: setup.share_list(c, {u: frame}, {u: payload}),
    "Upload": rounds.accept,
    "Consistency": lambda c, u, frame, _: rounds.quorum(c, {u: frame}),
    "Unmask": lambda c, u, frame, _: rounds.take_answer(c, u, frame),
}


class Bench:
    """One point in a run: a party that is about to receive a message."""

    def __init__(self, tape: Tape, kind: str, sender: int, recipient: int, r: int = 0) -> None:
        self.kind = kind
        for self.step, step in enumerate(tape.steps):
            if step["party"] == recipient and "receive" in step:
                self.message = tape.sent[step["receive"]]
                self.frame = parse(self.message.frame)
                if (self.frame["kind"], self.frame["sender"], self.frame["round"]) == (KINDS[kind], sender, r):
                    break
        self.c, self.sites = deepcopy(tape.memories[self.step - 1])
        self.party = self.sites[recipient] if recipient else self.c
        self.key: bytes | None = None
        if kind in SEALED:
            s = self.sites[recipient or sender]
            chain = s.here.channel_chain if s.here and s.here.r == r else s.channel_chain
            self.key = keys.channel_key(s.eh, chain, r, KINDS[kind])
            self.body = keys.unseal(self.key, self.frame["body"], encode(HEADER, self.frame), "V-0204")
        else:
            self.body = self.frame["body"]
        self.value: Value = decode(RECORDS[kind], self.body)

    def seed(self, party: int) -> bytes:
        return self.sites[party].seed if party else self.c.seed

    def signed(self, frame: Value) -> bytes:
        """The frame with the signature that its author would give it."""
        signature = keys.sign(self.seed(frame["sender"]), "frame", H("frame", encode(HEADER, frame), frame["body"]))
        return encode(FRAME, frame | {"signature": signature})

    def changed(self, header: Value | None = None, **body: Any) -> bytes:
        """The message with some fields changed."""
        frame = self.frame | (header or {})
        data = encode(RECORDS[self.kind], self.value | body)
        if self.kind == "Manifest" and header is None:
            frame["epoch"] = H("manifest", data)
        frame["body"] = keys.seal(self.key, data, encode(HEADER, frame)) if self.key else data
        return self.signed(frame)

    def nested(self, frame: Value, kind: str, **body: Any) -> Value:
        """A frame within a list with some fields changed, signed by its own author."""
        value = decode(RECORDS[kind], frame["body"]) | body
        return parse(self.signed(frame | {"body": encode(RECORDS[kind], value)}))

    def refuse(self, name: str, frame: bytes, payload: bytes | None = None) -> Value:
        payload = self.message.payload if payload is None else payload
        who = deepcopy(self.party)
        if who.index or self.kind == "Manifest":
            rule = refusal(_SITE[self.kind], who, frame, payload)
        else:
            rule = refusal(_COORDINATOR[self.kind], who, parse(frame)["sender"], frame, payload)
        return self._case(name, frame, payload) | {"check": rule}

    def receipt(self, name: str, frame: bytes) -> Value:
        """The step continues, and its receipt refuses a dealer."""
        answer = setup.receipt(deepcopy(self.party), frame)
        refused = decode(RECORDS["Receipt"], parse(answer)["body"])["refused"]
        return self._case(name, frame, b"") | {"refused": refused, "answer": answer}

    def _case(self, name: str, frame: bytes, payload: bytes) -> Value:
        return {"fault": name, "before": self.step, "frame": frame, "payload": payload}


def refusals(tape: Tape) -> list[Value]:
    """All refusals of one run."""
    if tape.name == "semi-honest":
        return _strangers(tape)
    if tape.name == "sparse":
        return _sparse(tape)
    parts = (_headers, _manifests, _lists, _dealers, _at_the_coordinator, _rounds)
    return [case for part in parts for case in part(tape)]


def _headers(tape: Tape) -> list[Value]:
    at = Bench(tape, "Cohort", 0, 1)
    broken = encode(FRAME, at.frame | {"signature": bytes(64)})
    return [
        at.refuse("another_epoch", at.changed({"epoch": _ANY})),
        at.refuse("for_another_site", at.changed({"recipient": 2})),
        at.refuse("not_signed_by_the_coordinator", broken),
        at.refuse("another_transcript", at.changed({"transcript": _ANY})),
        at.refuse("in_a_round", at.changed({"round": 1})),
        at.refuse("another_kind", at.signed(at.frame | {"kind": KINDS["Ready"]})),
        at.refuse("body_with_trailing_bytes", at.signed(at.frame | {"body": at.body + b"\0"})),
    ]


def _manifests(tape: Tape) -> list[Value]:
    at = Bench(tape, "Manifest", 0, 1)
    sites = at.value["sites"]
    own = keys.public(at.sites[1].seed)
    return [
        at.refuse("epoch_is_not_the_hash", at.changed({"epoch": _ANY})),
        at.refuse("two_sites", at.changed(sites=sites[:2])),
        at.refuse("sites_do_not_ascend", at.changed(sites=sites[::-1])),
        at.refuse("another_run", at.changed(run=bytes(16))),
        at.refuse("another_roster", at.changed(roster=_ANY)),
        at.refuse("site_not_confirmed", at.changed(sites=sorted([*sites, octets("stranger")]))),
        at.refuse("without_this_site", at.changed(sites=[key for key in sites if key != own])),
        at.refuse("threshold_over_n", at.changed(threshold=5)),
        at.refuse("threshold_too_low", at.changed(threshold=2)),
        at.refuse("too_few_survivors", at.changed(survivors=2)),
        at.refuse("more_survivors_than_sites", at.changed(survivors=5)),
        at.refuse("epoch_not_new", at.changed(epoch=0)),
        at.refuse("no_rounds", at.changed(rounds=0)),
        at.refuse("too_many_rounds", at.changed(rounds=4097)),
        at.refuse("round_zero", at.changed(first_round=0)),
        at.refuse("rounds_beyond_the_last", at.changed(first_round=2**32 - 2)),
        at.refuse("no_entries", at.changed(max_lanes=0)),
        at.refuse("ring_too_wide", at.changed(max_ring_bits=65)),
        at.refuse("graph_of_odd_degree", at.changed(degree=1)),
        at.refuse("graph_for_so_few", at.changed(degree=2)),
        at.refuse("noise_asked_for", at.changed(privacy=b"x")),
        at.refuse("too_much_slack", at.changed(slack=2)),
        at.refuse("curve_key_of_low_order", at.changed(coordinator_curve=b"\1" + bytes(31))),
        at.refuse("curve_key_not_canonical", at.changed(coordinator_curve=b"\xff" * 31 + b"\x7f")),
        at.refuse("setup_after_expiry", at.changed(setup_deadline=1_900_086_401)),
        *_later_epochs(at),
    ]


def _later_epochs(at: Bench) -> list[Value]:
    """An earlier epoch of the run had a sum over all sites, or over all but the last one."""
    keys_ = at.value["sites"]

    def after(kept: list[bytes], name: str, **terms: Any) -> Value:
        at.party.kept = kept
        return at.refuse(name, at.changed(epoch=2, **terms)) | {"kept": kept}

    return [
        after(keys_[:3], "site_comes_back"),
        after(keys_[:3], "site_comes_back_where_losses_pause", loss_rule=2, slack=1),
        after(keys_, "site_lost_between_epochs", loss_rule=2, sites=keys_[:3]),
        after(keys_, "site_may_be_lost_in_the_setup", loss_rule=3),
    ]


def _lists(tape: Tape) -> list[Value]:
    at = Bench(tape, "Cohort", 0, 1)
    joins = at.value["joins"]["frames"]
    altered = at.nested(joins[0], "Join", nonce_commitment=_ANY)
    unsigned = joins[1] | {"signature": joins[0]["signature"]}
    cases = [
        at.refuse("join_not_signed_by_its_site", at.changed(joins=all_of([joins[0], unsigned, *joins[2:]]))),
        at.refuse("joins_do_not_ascend", at.changed(joins=all_of(joins[::-1]))),
        at.refuse("join_twice", at.changed(joins=all_of([*joins, joins[3]]))),
        at.refuse("own_join_missing", at.changed(joins=all_of(joins[1:]))),
        at.refuse("own_join_altered", at.changed(joins=all_of([altered, *joins[1:]]))),
        at.refuse("two_joins", at.changed(joins=all_of(joins[:2]))),
    ]
    at = Bench(tape, "PrekeyList", 0, 1)
    first, second, *rest = at.value["prekeys"]["frames"]

    def with_second(**body: Any) -> bytes:
        return at.changed(prekeys=all_of([first, at.nested(second, "Prekeys", **body), *rest]))

    copied = decode(RECORDS["Prekeys"], first["body"])
    cases += [
        at.refuse("site_key_of_low_order", with_second(curve=bytes(32))),
        at.refuse("site_key_copied", with_second(curve=copied["curve"])),
        at.refuse("kem_key_copied", with_second(kem=copied["kem"])),
        at.refuse("kem_key_not_reduced", with_second(kem=b"\xff" * 1184)),
        at.refuse("commitment_missing", with_second(self_commitments=[_ANY])),
        at.refuse("nonce_does_not_open", with_second(nonce=_ANY)),
    ]
    at = Bench(tape, "EncapsulationList", 0, 4)
    slots = at.value["slots"]
    moved = slots | {1: slots[1] | {"path": slots[1]["path"][:-1]}}
    swapped = slots | {1: slots[2], 2: slots[1]}
    cases += [
        at.refuse("slot_missing", at.changed(slots={1: slots[1], 2: slots[2]})),
        at.refuse("slot_path_too_short", at.changed(slots=moved)),
        at.refuse("slots_swapped", at.changed(slots=swapped)),
    ]
    at = Bench(tape, "Ready", 0, 1)
    receipts = at.value["receipts"]["frames"]
    refusing = at.nested(receipts[3], "Receipt", accepted=[1, 3], refused={2: 409})
    cases += [
        at.refuse("not_a_member", at.changed(receipts=all_of(receipts[1:]))),
        at.refuse("members_in_conflict", at.changed(receipts=all_of([*receipts[:3], refusing]))),
    ]
    return cases


def _dealers(tape: Tape) -> list[Value]:
    """Site 2 deals wrongly to site 1, and signs that."""
    at = Bench(tape, "ShareList", 0, 1)
    headers, good = at.value["headers"]["frames"], at.value["slots"][2]["slot"]
    dealt = at.c.payloads["Shares"][2]["slots"]

    def dealt_wrongly(slot: Value, **header: Any) -> bytes:
        leaves = [encode(wire.SHARE_SLOT, slot if v == 1 else other) for v, other in dealt.items()]
        header = {"root": merkle_root(leaves)} | header
        headers_ = [headers[0], at.nested(headers[1], "Shares", **header), *headers[2:]]
        slots = at.value["slots"] | {2: {"slot": slot, "path": merkle_path(leaves, 0)}}
        return at.changed(headers=all_of(headers_), slots=slots)

    key = keys.share_key(at.c.eh, at.sites[2].pairs[1], 2, 1)
    ad = setup.share_ad(at.sites[2], 2, 1)
    opened = keys.unseal(key, good["sealed"], ad, "V-0409")
    another_kappa = keys.seal(key, opened[:-32] + _ANY, ad)
    return [
        at.receipt("shares_do_not_open", dealt_wrongly(good | {"sealed": bytes(len(good["sealed"]))})),
        at.receipt("shares_too_short", dealt_wrongly(good | {"sealed": keys.seal(key, opened[1:], ad)})),
        at.receipt("leaf_of_another_share", dealt_wrongly(good | {"leaves": [_ANY, *good["leaves"][1:]]})),
        at.receipt("another_kappa", dealt_wrongly(good | {"sealed": another_kappa})),
        at.receipt("edge_of_another_seed", dealt_wrongly(good | {"edges": [_ANY, *good["edges"][1:]]})),
        at.receipt("edge_missing", dealt_wrongly(good | {"edges": good["edges"][1:]})),
        at.receipt("vault_missing", dealt_wrongly(good, vault_hashes=[_ANY])),
    ]


def _at_the_coordinator(tape: Tape) -> list[Value]:
    at = Bench(tape, "Join", 2, 0)
    cases = [
        at.refuse("join_for_everyone", at.changed({"recipient": 65_535})),
        at.refuse("join_signed_by_another", encode(FRAME, at.frame | {"signature": bytes(64)})),
        at.refuse("join_of_another_transcript", at.changed({"transcript": _ANY})),
        at.refuse("join_in_a_round", at.changed({"round": 1})),
    ]
    at = Bench(tape, "Prekeys", 2, 0)
    cases += [
        at.refuse("curve_key_is_the_coordinators", at.changed(curve=at.c.manifest["coordinator_curve"])),
        at.refuse("curve_key_of_low_order_sent", at.changed(curve=bytes(32))),
        at.refuse("kem_key_not_reduced_sent", at.changed(kem=b"\xff" * 1184)),
        at.refuse("commitment_missing_sent", at.changed(self_commitments=[])),
        at.refuse("nonce_does_not_open_sent", at.changed(nonce=_ANY)),
    ]
    at = Bench(tape, "Encapsulations", 2, 0)
    slots = decode(RECORDS["EncapsulationPackage"], at.message.payload)["slots"]
    package = {"slots": {v: ct for v, ct in slots.items() if v != 4}}
    cases += [
        at.refuse("root_of_other_ciphertexts", at.changed(root=_ANY)),
        at.refuse("ciphertext_missing", at.message.frame, encode(RECORDS["EncapsulationPackage"], package)),
        at.refuse("no_payload", at.message.frame, b""),
    ]
    at = Bench(tape, "Shares", 2, 0)
    package = decode(RECORDS["SharePackage"], at.message.payload)

    def packed(**other: Any) -> bytes:
        return encode(RECORDS["SharePackage"], package | other)

    cases += [
        at.refuse("another_vault", at.message.frame, packed(vaults=[package["vaults"][1], package["vaults"][0]])),
        at.refuse("one_vault", at.message.frame, packed(vaults=package["vaults"][:1])),
        at.refuse("holder_missing", at.message.frame, packed(slots={v: package["slots"][v] for v in (1, 2, 3)})),
        at.refuse("root_of_other_slots", at.changed(root=_ANY)),
        at.refuse("another_channel", at.changed(channel_confirmation=_ANY)),
    ]
    return cases


def _rounds(tape: Tape) -> list[Value]:
    at = Bench(tape, "Open", 0, 1, r=2)
    schema = at.value["schema"]
    wide = [schema["segments"][0] | {"clip": 1e6}, schema["segments"][1]]
    long = [schema["segments"][0] | {"count": 1000}, schema["segments"][1]]
    still = [schema["segments"][0] | {"step": 0.0}, schema["segments"][1]]
    turned = [schema["segments"][0] | {"rotation": 17}, schema["segments"][1]]
    # 4 * 16383 < 2^16; one more unit each would be too much.
    full = [schema["segments"][0] | {"clip": 8191.5}, schema["segments"][1]]
    cases = [
        at.refuse("round_is_over", at.signed(at.frame | {"round": 1})),
        at.refuse("round_of_no_epoch", at.signed(at.frame | {"round": 3})),
        at.refuse("body_does_not_open", at.signed(at.frame | {"body": bytes(100)})),
        at.refuse("no_headroom", at.changed(schema=schema | {"segments": wide})),
        at.refuse("vector_too_long", at.changed(schema=schema | {"segments": long})),
        at.refuse("vector_empty", at.changed(schema=schema | {"segments": []})),
        at.refuse("no_headroom_to_round_up", at.changed(schema=schema | {"segments": full})),
        at.refuse("blocks_too_large", at.changed(schema=schema | {"segments": turned})),
        at.refuse("step_of_zero", at.changed(schema=schema | {"segments": still})),
        at.refuse("no_lanes", at.changed(schema=schema | {"mac_lanes": 0})),
        at.refuse("too_few_lanes", at.changed(schema=schema | {"mac_lanes": 1})),
        at.refuse("roster_names_a_stranger", at.changed(roster=[1, 2, 3, 5])),
        at.refuse("roster_without_this_site", at.changed(roster=[2, 3, 4])),
        at.refuse("roster_too_small", at.changed(roster=[1, 2])),
    ]
    at = Bench(tape, "Upload", 1, 0, r=2)
    payload = bytearray(at.message.payload)
    payload[0] ^= 1
    cases += [
        at.refuse("another_context", at.changed(context=_ANY)),
        at.refuse("another_digest", at.changed(root=_ANY)),
        at.refuse("sealed_vector_altered", at.message.frame, bytes(payload)),
        at.refuse("sealed_vector_too_short", at.message.frame, at.message.payload[:-1]),
        at.refuse("sealed_vector_too_long", at.message.frame, at.message.payload + b"\0"),
    ]
    at = Bench(tape, "Survivors", 0, 1, r=2)
    uploads = at.value["uploads"]["frames"]
    earlier = Bench(tape, "Survivors", 0, 1, r=1).value["uploads"]["frames"]
    astray = at.nested(uploads[2], "Upload", context=_ANY)
    altered = at.nested(uploads[0], "Upload", root=_ANY)
    cases += [
        at.refuse("upload_of_another_round", at.changed(uploads=all_of([*uploads[:2], earlier[3]]))),
        at.refuse(
            "upload_of_another_context",
            at.changed(uploads=all_of([*uploads[:2], astray])),
        ),
        at.refuse("own_upload_missing", at.changed(uploads=all_of(uploads[1:]))),
        at.refuse("own_upload_altered", at.changed(uploads=all_of([altered, *uploads[1:]]))),
        at.refuse("too_few_survivors_proposed", at.changed(uploads=all_of(uploads[:2]))),
    ]
    at = Bench(tape, "Consistency", 2, 0, r=2)
    cases += [at.refuse("another_statement", at.changed(statement=_ANY))]
    at = Bench(tape, "Quorum", 0, 1, r=2)
    signed = at.value["signatures"]
    other = [*signed[:2], at.nested(signed[2], "Consistency", statement=_ANY)]
    cases += [
        at.refuse("two_signatures", at.changed(signatures=signed[:2])),
        at.refuse("signature_on_another_set", at.changed(signatures=other)),
        at.refuse("signature_of_another_site", at.changed(signatures=[*signed[:2], signed[2] | {"sender": 3}])),
    ]
    at = Bench(tape, "Unmask", 2, 0, r=2)
    given = at.value["shares"]
    cases += [
        at.refuse("share_missing", at.changed(shares={v: given[v] for v in (1, 2, 4)})),
        at.refuse("another_share", at.changed(shares=given | {3: _ANY})),
        at.refuse("answer_does_not_open", at.signed(at.frame | {"body": bytes(100)})),
    ]
    at = Bench(tape, "Result", 0, 1, r=2)
    cases += [
        at.refuse("sum_of_another_set", at.changed(statement=_ANY)),
        at.refuse("sum_of_another_digest", at.changed(root=_ANY)),
        at.refuse("sum_altered", *_published(at, _raised)),
        at.refuse("sum_and_lanes_of_zeros", *_published(at, partial(_times, 0))),
        at.refuse("sum_and_lanes_doubled", *_published(at, partial(_times, 2))),
    ]
    return cases


def _strangers(tape: Tape) -> list[Value]:
    """Site 5, which is in the manifest and was lost in the setup, returns."""

    def of_site_5(frame: Value) -> Value:
        return parse(at.signed(frame | {"sender": 5}))

    at = Bench(tape, "ShareList", 0, 1)
    headers = at.value["headers"]["frames"]
    cases = [at.refuse("newcomer_in_a_list", at.changed(headers=all_of([*headers, of_site_5(headers[0])])))]
    at = Bench(tape, "Shares", 4, 0)
    cases += [at.refuse("shares_of_no_holder", encode(FRAME, of_site_5(at.frame)))]
    at = Bench(tape, "Upload", 4, 0, r=7)
    cases += [at.refuse("upload_of_a_stranger", encode(FRAME, of_site_5(at.frame)))]
    at = Bench(tape, "Survivors", 0, 1, r=7)
    uploads = at.value["uploads"]["frames"]
    cases += [
        at.refuse("survivor_not_asked", at.changed(uploads=all_of([*uploads, of_site_5(uploads[0])]))),
        at.refuse("loss_where_that_ends_the_run", at.changed(uploads=all_of(uploads[:3]))),
    ]
    return cases


def _sparse(tape: Tape) -> list[Value]:
    at = Bench(tape, "Manifest", 0, 1)
    cases = [
        at.refuse("threshold_for_no_colluder", at.changed(threshold=2)),
        at.refuse("threshold_over_the_degree", at.changed(threshold=5)),
        at.refuse("more_losses_than_the_graph_bears", at.changed(survivors=4)),
        at.refuse("degree_odd", at.changed(degree=5)),
        at.refuse("degree_of_the_complete_graph", at.changed(degree=6)),
        at.refuse("too_many_graphs", at.changed(epoch=1025)),
    ]
    at = Bench(tape, "Cohort", 0, 1)
    joins = {u: parse(tape.sent[_place(tape, "Join", u)].frame) for u in range(1, 6)}
    cases += [at.refuse("graph_over_too_few_that_joined", at.changed(joins=show(at.c, joins, 1)))]
    at = Bench(tape, "PrekeyList", 0, 1)
    listing, nonces = at.value["prekeys"], at.message.payload
    first, *others = listing["frames"]
    stranger = next(u for u in at.party.listed - {1} if u not in at.c.graph[1])
    more = sorted([first, *others, parse(tape.sent[_place(tape, "Prekeys", stranger)].frame)], key=_sender)
    fewer = {"senders": listing["senders"][:-1]}

    def changed(**other: Any) -> bytes:
        return at.changed(prekeys=listing | other)

    cases += [
        at.refuse("nonce_of_another", changed(), nonces[32:] + nonces[:32]),
        at.refuse("nonce_missing", changed(), nonces[:-32]),
        at.refuse("nonce_cut", changed(), nonces[:-1]),
        at.refuse("site_left_out_with_its_nonce", changed(**fewer), nonces[:-32]),
        at.refuse("site_left_out_but_for_its_nonce", changed(**fewer)),
        at.refuse("neighbour_not_shown", changed(frames=[first, *others[1:]])),
        at.refuse("stranger_shown", changed(frames=more)),
        at.refuse("sibling_missing", changed(siblings=listing["siblings"][1:])),
        at.refuse("sibling_too_many", changed(siblings=[*listing["siblings"], _ANY])),
    ]
    at = Bench(tape, "Open", 0, 1, r=1)
    cases += [at.refuse("lanes", at.changed(schema=at.value["schema"] | {"mac_lanes": 2}))]
    at = Bench(tape, "Survivors", 0, 1, r=1)
    uploads = at.value["uploads"]
    cases += [
        at.refuse("survivors_below_the_floor", at.changed(uploads=all_of(uploads["frames"][:4]))),
        at.refuse("upload_not_shown", at.changed(uploads=uploads | {"frames": uploads["frames"][:-1]})),
    ]
    at = Bench(tape, "Quorum", 0, 1, r=1)
    signed = at.value["signatures"]
    near = [frame for frame in signed if frame["sender"] != 1]
    far = [u for u in (1, 2, 4, 5, 6, 7) if u not in at.c.graph[1]]
    strangers = [parse(tape.sent[_place(tape, "Consistency", u)].frame) for u in far]
    cases += [at.refuse("quorum_of_strangers", at.changed(signatures=sorted([*near[:2], *strangers], key=_sender)))]
    return cases


def _sender(frame: Value) -> int:
    return int(frame["sender"])


def _place(tape: Tape, kind: str, sender: int) -> int:
    """The position in the script of a site's message of this kind."""
    headers = [parse(sent.frame) for sent in tape.sent]
    return next(i for i, one in enumerate(headers) if (one["kind"], one["sender"]) == (KINDS[kind], sender))


def _published(at: Bench, change: Callable[[int, rounds.vector.Vector], rounds.vector.Vector]) -> tuple[bytes, bytes]:
    """A different sum and lanes, derived from b and the true ones, sealed and signed correctly."""
    (m, lanes, b), vector = at.party.here.shape(), rounds.vector
    ad = rounds.vector_ad(at.party, "Result", 0)
    false = change(b, vector.unseal_vector(at.value["key"], at.message.payload, m, lanes, b, ad, "V-0513"))
    return at.changed(root=vector.vector_root(false, b)), vector.seal_vector(at.value["key"], false, b, ad)


def _raised(b: int, total: rounds.vector.Vector) -> rounds.vector.Vector:
    """The sum with one entry one step higher."""
    elements, lanes = total
    return [(elements[0] + 1) % (1 << b), *elements[1:]], lanes


def _times(factor: int, b: int, total: rounds.vector.Vector) -> rounds.vector.Vector:
    elements, lanes = total
    return [x * factor % (1 << b) for x in elements], [x * factor % (1 << 64) for x in lanes]
