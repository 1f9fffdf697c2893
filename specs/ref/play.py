"""A whole epoch from manifest to last sum, recorded step by step.

Spec: 02-protocol §5, §6. An overview of protocol 1: who acts, on what, in which order.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from specs.ref import keys, rounds, setup, vector
from specs.ref.frames import EVERYONE, Value
from specs.ref.graph import seen
from specs.ref.hashes import H, sha256
from specs.ref.setup import Coordinator, Encapsulation, Frames, Site
from specs.ref.wire import RECORDS, encode

Encapsulate = Callable[[str, bytes], Encapsulation]  # by a persistent name and an ML-KEM-768 key
_ORDER = ["Join", "Prekeys", "Encapsulations", "Shares", "Receipt"]


@dataclass(frozen=True, kw_only=True)
class RoundPlan:
    opening: Value  # Open without its salt and roster
    values: Mapping[int, list[float]]  # of the sites that upload
    silent: frozenset[int] = frozenset()  # upload and are then lost


@dataclass(frozen=True, kw_only=True)
class Plan:
    name: str
    n: int
    terms: Value  # the manifest except what the roster and the coordinator's keys determine
    last_message: Mapping[int, str] = field(default_factory=dict)  # of the sites lost in the setup
    rounds: tuple[RoundPlan, ...]


class Sent(NamedTuple):
    place: int  # in the script's list
    frame: bytes
    payload: bytes = b""


@dataclass
class Tape:
    """The script of a run: each step with its randomness and what it sends, and each party's memory after it."""

    name: str
    c: Coordinator
    sites: dict[int, Site]
    sent: list[Sent] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    memories: list[tuple[Coordinator, dict[int, Site]]] = field(default_factory=list)

    def rand(self) -> bytes:
        """The 32 bytes of the next step."""
        return sha256(f"{self.name}, step {len(self.steps)}".encode())

    def step(self, party: int, frames: Frames, payload: bytes = b"", **what: Any) -> dict[int, Sent]:
        """Record what a party did and sent; a message is referred to by its position in the list."""
        sent = {to: Sent(len(self.sent) + i, frame, payload) for i, (to, frame) in enumerate(frames.items())}
        self.sent += sent.values()
        places = [one.place for one in sent.values()]
        self.steps.append({"party": party} | what | {"rand": self.rand(), "sends": places})
        self.memories.append(deepcopy((self.c, self.sites)))
        return sent

    def take(self, u: int, got: Sent) -> None:
        """A party receives a message and sends none."""
        self.step(u, {}, receive=got.place)

    def answer(self, u: int, got: Sent, frame: bytes, payload: bytes = b"", **what: Any) -> Sent:
        """A site receives a message and sends one."""
        return self.step(u, {0: frame}, payload, receive=got.place, **what)[0]

    def tell(self, u: int, event: str, frame: bytes, payload: bytes = b"", **what: Any) -> Sent:
        """A party acts on its own and sends one message."""
        return self.step(u, {0: frame}, payload, tell=event, **what)[0]


def frames(messages: Mapping[int, Sent]) -> Frames:
    return {u: message.frame for u, message in messages.items()}


def shown(messages: Mapping[int, Sent], u: int) -> Sent:
    """What the coordinator sent to u: its own frame, or the one for everyone."""
    return messages.get(u) or messages[EVERYONE]


def payloads(messages: Mapping[int, Sent]) -> Frames:
    return {u: message.payload for u, message in messages.items()}


def play(plan: Plan, encapsulate: Encapsulate) -> tuple[dict[str, Any], Tape]:
    """The script of a whole run, and its tape."""
    seeds = [sha256(f"{plan.name}, identity {i}".encode()) for i in range(plan.n + 1)]
    c, seeds = Coordinator(seed=seeds[0]), sorted(seeds[1:], key=keys.public)
    roster = {
        "project": sha256(b"project")[:16],
        "terms": H("terms", b"the terms of the project"),
        "coordinator": keys.public(c.seed),
        "sites": [keys.public(seed) for seed in seeds],
    }
    encoded = encode(RECORDS["Roster"], roster)
    terms = plan.terms | {"project": roster["project"], "roster": H("roster", encoded), "sites": roster["sites"]}
    sites = {u: Site(seed=seed, roster=roster, run=terms["run"]) for u, seed in enumerate(seeds, start=1)}
    tape = Tape(plan.name, c, sites)
    play_setup(tape, plan, terms, encapsulate)
    present, sums = c.members, []
    for r, each in enumerate(plan.rounds, start=plan.terms["first_round"]):
        total = play_round(tape, r, each, present)
        present = list(c.here.uploads)
        reals = vector.reals(total, each.opening["schema"], c.here.ctx)
        sums.append({"round": r, "survivors": present, "sum": total, "reals": reals})
    script = {"identities": [c.seed, *seeds], "roster": encoded, "words": keys.stretched(H("roster", encoded))}
    return script | {"sent": tape.sent, "steps": tape.steps, "sums": sums}, tape


def play_setup(tape: Tape, plan: Plan, terms: Value, encapsulate: Encapsulate) -> None:
    c, sites = tape.c, tape.sites

    def there(kind: str) -> list[int]:
        return [u for u in sites if _ORDER.index(kind) <= _ORDER.index(plan.last_message.get(u, "Receipt"))]

    def drawn(u: int, found: Mapping[int, Value]) -> dict[int, Encapsulation]:
        near = seen(c.graph, u, found) if u else found
        return {v: encapsulate(f"{plan.name}, {u} to {v}", found[v]["kem"]) for v in near if v > u}

    def taken(at: Mapping[int, Sent]) -> dict[int, Sent]:
        for message in at.values():
            tape.take(0, message)
        return dict(at)

    # 1. Manifest, Join, Cohort
    manifest = tape.tell(0, "announce", setup.manifest(c, terms, tape.rand()))
    at = taken({u: tape.answer(u, manifest, setup.join(sites[u], manifest.frame, tape.rand())) for u in there("Join")})
    lists = tape.step(0, setup.cohort(c, frames(at)), tell="close")
    # 2. Prekeys, PrekeyList
    at = {}
    for u in there("Prekeys"):
        got = shown(lists, u)
        at[u] = tape.answer(u, got, setup.prekeys(sites[u], got.frame, tape.rand()))
    taken(at)
    found = setup.take_prekeys(c, frames(at))
    own = drawn(0, found)
    sent, nonces = setup.prekey_list(c, own)
    lists = tape.step(0, sent, nonces, tell="close", encapsulations=own)
    # 3. Encapsulations, EncapsulationList
    at = {}
    for u in there("Encapsulations"):
        own = drawn(u, found)
        frame, payload = setup.encapsulations(sites[u], lists[u].frame, own, nonces)
        at[u] = tape.answer(u, lists[u], frame, payload, encapsulations=own)
    taken(at)
    lists = tape.step(0, setup.encapsulation_list(c, frames(at), payloads(at)), tell="close")
    # 4. Shares, ShareList
    at = taken(
        {u: tape.answer(u, lists[u], *setup.shares(sites[u], lists[u].frame, tape.rand())) for u in there("Shares")}
    )
    lists = tape.step(0, setup.share_list(c, frames(at), payloads(at)), tell="close")
    # 5. Receipt, Ready
    at = taken({u: tape.answer(u, lists[u], setup.receipt(sites[u], lists[u].frame)) for u in there("Receipt")})
    lists = tape.step(0, setup.ready(c, frames(at), list(at)), tell="close")
    for u in c.members:
        setup.finish_setup(sites[u], shown(lists, u).frame)
        tape.take(u, shown(lists, u))


def play_round(tape: Tape, r: int, plan: RoundPlan, present: list[int]) -> list[int]:
    c, sites = tape.c, tape.sites
    # 1. Open
    schema = encode(RECORDS["Schema"], plan.opening["schema"])
    sent = rounds.open_round(c, r, plan.opening | {"roster": present}, tape.rand())
    opened = tape.step(0, sent, tell="ask", open=plan.opening, schema=schema, roster=present)
    for u in present:
        rounds.enter_round(sites[u], opened[u].frame)
        tape.take(u, opened[u])
    # 2. Upload
    for u, values in plan.values.items():
        upload = tape.tell(u, "contribute", *rounds.upload(sites[u], values, tape.rand()), values=values)
        rounds.accept(c, u, upload.frame, upload.payload)
        tape.take(0, upload)
    # 3. Survivors
    proposed = tape.step(0, rounds.survivors(c), tell="close")
    signing = [u for u in plan.values if u not in plan.silent]
    for u in signing:
        rounds.check_survivors(sites[u], shown(proposed, u).frame)
        tape.take(u, shown(proposed, u))
    # 4. Consistency and Quorum, or an immediate answer (semi-honest, complete graph)
    at = {u: tape.tell(u, "confirm", rounds.confirm(sites[u])) for u in signing}
    for message in at.values():
        tape.take(0, message)
    if rounds.signs(c):
        agreed = tape.step(0, rounds.quorum(c, frames(at)), tell="close")
        at = {u: tape.answer(u, shown(agreed, u), rounds.answer(sites[u], shown(agreed, u).frame)) for u in signing}
        # 5. Unmask
        for message in at.values():
            tape.take(0, message)
    found = rounds.secrets(c, frames(at))
    tape.step(0, {}, tell="close")
    # 6. The sum, Result
    total = rounds.the_sum(c, found)
    sealed, payload = rounds.result(c, total, tape.rand())
    results = tape.step(0, sealed, payload, tell="publish")
    for u in signing:
        learned = rounds.finish_round(sites[u], results[u].frame, payload)
        tape.take(u, results[u])
    return learned
