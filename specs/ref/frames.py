"""What a party remembers, and the frames it signs and reads.

Spec: 01-wire §3, 02-protocol §5 (transcript, lists).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from specs.ref import keys, wire
from specs.ref.graph import Graph, seen
from specs.ref.hashes import H, check, merkle_root, merkle_siblings, root_of_leaves, u8, u16
from specs.ref.wire import FRAME, HEADER, KINDS, RECORDS, SEALED

EVERYONE = 65_535
TO_EVERYONE = {"Manifest", "Cohort", "Ready", "Survivors", "Quorum"}
Value = dict[str, Any]


@dataclass(kw_only=True)
class Party:
    """A site (index 1..n) or the coordinator (index 0). The later fields are set by the steps of the setup."""

    seed: bytes  # of the identity
    index: int = 0
    manifest: Value = field(default_factory=dict)
    eh: bytes = bytes(32)
    transcript: bytes = bytes(32)
    keys: list[bytes] = field(default_factory=list)  # the identities, the coordinator's first
    graph: Graph = field(default_factory=dict)  # empty until drawn
    here: Any = None  # the round that is open (rounds.Round)

    def rounds(self) -> range:
        first = self.manifest["first_round"]
        return range(first, first + self.manifest["rounds"])


def make(me: Party, kind: str, value: Value, *, r: int = 0, to: int = 0, key: bytes | None = None) -> bytes:
    """The signed frame; `key` seals the body of a sealed kind."""
    frame = {"version": 1, "kind": KINDS[kind], "epoch": me.eh, "transcript": me.transcript, "round": r}
    frame |= {"sender": me.index, "recipient": to}
    if kind == "Manifest":
        frame["transcript"] = bytes(32)
    header, body = wire.encode(HEADER, frame), wire.encode(RECORDS[kind], value)
    if kind in SEALED:
        body = keys.seal(key, body, header)
    signature = keys.sign(me.seed, "frame", H("frame", header, body))
    return wire.encode(FRAME, frame | {"body": body, "signature": signature})


def parse(data: bytes, _name: str = "Frame") -> Value:
    frame = wire.decode(FRAME, data)
    check(frame["version"] == 1, "V-0106")
    check(frame["kind"] in KINDS.values(), "V-0107")
    return frame


def read(me: Party, data: bytes, kind: str, *, sender: int, r: int = 0, key: bytes | None = None) -> Value:
    """The message in a frame that arrives where it belongs."""
    frame = parse(data)
    check(frame["kind"] == KINDS[kind], "V-0001")
    recipient = 0 if sender else EVERYONE if is_shared(me, kind) else me.index
    place = (frame["epoch"], frame["sender"], frame["round"], frame["recipient"])
    check(place == (me.eh, sender, r, recipient), "V-0201")
    verify(me, frame, "V-0202")
    check(frame["transcript"] == (bytes(32) if kind == "Manifest" else me.transcript), "V-0203")
    body = frame["body"]
    if kind in SEALED:
        body = keys.unseal(key, body, wire.encode(HEADER, frame), "V-0204")
    return wire.decode(RECORDS[kind], body)


def is_shared(me: Party, kind: str) -> bool:
    """Whether the coordinator signs one frame of this kind for everyone."""
    return kind == "Manifest" or (kind in TO_EVERYONE and me.manifest["degree"] == 0)


def verify(me: Party, frame: Value, rule: str) -> None:
    signed = H("frame", wire.encode(HEADER, frame), frame["body"])
    keys.verify(me.keys[frame["sender"]], "frame", signed, frame["signature"], rule)


def read_list(me: Party, frames: list[Value], kind: str, r: int = 0) -> dict[int, Value]:
    """The messages in a list, by sender."""
    senders = [frame["sender"] for frame in frames]
    check(senders == sorted(set(senders)), "V-0206")
    check(all(1 <= u < len(me.keys) for u in senders), "V-0206")
    for frame in frames:
        place = (
            frame["version"],
            frame["kind"],
            frame["epoch"],
            frame["round"],
            frame["transcript"],
            frame["recipient"],
        )
        check(place == (1, KINDS[kind], me.eh, r, me.transcript, 0), "V-0205")
        verify(me, frame, "V-0205")
    return {frame["sender"]: wire.decode(RECORDS[kind], frame["body"]) for frame in frames}


def show(me: Party, frames: dict[int, Value], u: int) -> Value:
    """The list that the coordinator shows to u, or to everyone."""
    senders = sorted(frames)
    shown = senders if u == EVERYONE else seen(me.graph, u, senders)
    siblings = merkle_siblings(_leaves(frames), [senders.index(v) for v in shown])
    return {"senders": senders, "frames": [frames[v] for v in shown], "siblings": siblings}


def read_listing(me: Party, listing: Value, kind: str, r: int = 0) -> tuple[dict[int, Value], bytes]:
    """The messages that a site is shown, by sender, and the root over all frames."""
    messages, senders = read_list(me, listing["frames"], kind, r), listing["senders"]
    check(list(messages) == seen(me.graph, me.index, senders), "V-0207")
    leaves = {senders.index(frame["sender"]): wire.encode(FRAME, frame) for frame in listing["frames"]}
    return messages, root_of_leaves(leaves, len(senders), listing["siblings"], "V-0207")


def _leaves(frames: dict[int, Value]) -> list[bytes]:
    return [wire.encode(FRAME, frames[u]) for u in sorted(frames)]


def root_of(frames: dict[int, Value]) -> bytes:
    return merkle_root(_leaves(frames))


def joined(senders: Iterable[int]) -> bytes:
    return b"".join(u16(u) for u in sorted(senders))


def advance(me: Party, kind: str, senders: Iterable[int], root: bytes, *bound: bytes) -> None:
    """The transcript after the list of this kind."""
    me.transcript = H("transcript", me.transcript, u8(KINDS[kind]), joined(senders), root, *bound)
