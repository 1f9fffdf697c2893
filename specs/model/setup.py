"""The setup of an epoch as a state machine: a coordinator that shows each site manifests and lists of its choice.

Spec: 02-protocol §5. Each step closes with a list of the sites' signed frames, and the next frames are signed for the
transcript that results. Three lists stand for the five: what is true of one is true of all. A transcript is written out
here, as the manifest and the lists seen so far, where the protocol uses its hash. Nothing in the setup confirms the
last list, which names the members; sites that were shown different ones have different contexts in every round, and
`rounds` takes over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from itertools import permutations, product
from typing import NamedTuple

STEPS = ("prekeys", "shares", "receipts")


class Rule(StrEnum):
    """What a site checks in the setup; without any one of these, the search must find a violation."""

    FLOORS = "a site joins no epoch below its bounds"
    ROSTER = "a site joins only with confirmed identities"
    AUTHORS = "every frame of a list is signed by its author"
    TRANSCRIPT = "a frame counts only for its own transcript"
    LIST_SIZE = "a list has at least t frames"
    JOURNAL = "the state is durable before a message leaves"


class Broken(StrEnum):
    """Properties that no reachable state may have."""

    WEAK = "a site is ready in an epoch below its bounds"
    STRANGERS = "a site is ready with identities that nobody confirmed"
    KEYS = "a key of an honest site that is not its own"
    SPLIT = "two ready sites of an epoch hold different keys"
    TWO_FRAMES = "a site signs two frames for one step"


class Manifest(StrEnum):
    SOUND = "the sound manifest"
    OTHER = "another sound manifest"
    WEAK = "a manifest with t too low"
    STRANGERS = "a manifest with unknown keys"


class Frame(NamedTuple):
    """A signed frame: its variant is its content beyond step and transcript; 0 was not signed by its sender."""

    sender: int
    variant: int
    transcript: "Transcript"


List = tuple[Frame, ...]
Transcript = tuple[str | List, ...]


class Site(NamedTuple):
    """An honest site: the transcript in memory and in its journal, and the frames that it has sent."""

    live: Transcript = ()
    disk: Transcript = ()
    sent: List = ()


class State(NamedTuple):
    sites: tuple[Site, ...]
    crashes: int


@dataclass(frozen=True)
class Setup:
    """One configuration: n sites of which the last `colluders` collude, and the threshold t of a sound manifest.

    A colluder signs up to `variants` frames per step.
    """

    n: int = 4
    t: int = 3
    colluders: int = 1
    crashes: int = 2
    variants: int = 2
    manifests: tuple[Manifest, ...] = (Manifest.SOUND, Manifest.OTHER)
    without: Rule | None = None

    @property
    def honest(self) -> range:
        return range(1, self.n - self.colluders + 1)

    def has(self, rule: Rule) -> bool:
        return rule is not self.without

    def start(self) -> State:
        return State((Site(),) * len(self.honest), self.crashes)

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        for u in self.honest:
            site = state.sites[u - 1]
            if not site.live:
                for manifest in self._manifests():
                    yield f"site {u} is shown {manifest} and joins", self._goes_on(state, u, (manifest,))
            elif not _is_ready(site.live):
                for seen in self._lists(state, u):
                    label = f"site {u} is shown {STEPS[len(site.live) - 1]} of {_described(seen)}"
                    yield label, self._goes_on(state, u, (*site.live, seen))
            if state.crashes and site.live != site.disk:
                back = _with(state, u, site._replace(live=site.disk))
                yield f"site {u} crashes and continues from its journal", back._replace(crashes=state.crashes - 1)

    def _manifests(self) -> Iterator[Manifest]:
        yield from self.manifests
        if not self.has(Rule.FLOORS):
            yield Manifest.WEAK
        if not self.has(Rule.ROSTER):
            yield Manifest.STRANGERS

    def _lists(self, state: State, u: int) -> Iterator[List]:
        """Return every list that a site accepts: its own frame, and for each other site one frame or none."""
        site = state.sites[u - 1]
        own = max(frame for frame in site.sent if frame.transcript == site.live)
        choices: list[list[Frame | None]] = []
        for v in range(1, self.n + 1):
            frames = [own] if v == u else self._frames(state, v, site.live)
            choices.append([*frames] if v == u else [None, *frames])
        for chosen in product(*choices):
            frames = [frame for frame in chosen if frame]
            if len(frames) >= self.t or not self.has(Rule.LIST_SIZE):
                yield tuple(frames)

    def _frames(self, state: State, v: int, transcript: Transcript) -> list[Frame]:
        """Return the frames of a sender that a site with this transcript accepts; colluders sign anything."""
        if v not in self.honest or transcript[0] == Manifest.STRANGERS:
            return [Frame(v, variant, transcript) for variant in range(1, self.variants + 1)]
        sent = [frame for frame in state.sites[v - 1].sent if len(frame.transcript) == len(transcript)]
        if self.has(Rule.TRANSCRIPT):
            sent = [frame for frame in sent if frame.transcript == transcript]
        return sent if self.has(Rule.AUTHORS) else [*sent, Frame(v, 0, transcript)]

    def _goes_on(self, state: State, u: int, transcript: Transcript) -> State:
        """Journal, then send the next frame. A repeated step draws afresh: another variant."""
        site = state.sites[u - 1]
        sent = site.sent
        if not _is_ready(transcript):
            variant = 1 + sum(frame.transcript == transcript for frame in sent)
            sent = tuple(sorted((*sent, Frame(u, variant, transcript))))
        disk = transcript if self.has(Rule.JOURNAL) else site.live
        return _with(state, u, Site(transcript, disk, sent))

    def violations(self, state: State) -> Iterator[tuple[Broken, str]]:
        ready = {u: state.sites[u - 1].live for u in self.honest if _is_ready(state.sites[u - 1].live)}
        for u, transcript in ready.items():
            if transcript[0] in {Manifest.WEAK, Manifest.STRANGERS}:
                kind = Broken.WEAK if transcript[0] == Manifest.WEAK else Broken.STRANGERS
                yield kind, f"site {u} is ready under {transcript[0]}"
            for seen in transcript[1:]:
                if any(frame.variant == 0 for frame in seen if isinstance(frame, Frame)):
                    yield Broken.KEYS, f"site {u} is ready with a frame that its sender did not sign"
        for (u, one), (v, other) in product(ready.items(), repeat=2):
            if u < v and one[0] == other[0] and one[:-1] != other[:-1]:
                yield Broken.SPLIT, f"sites {u} and {v} are ready under {one[0]}, but not after the same lists"
        for u in self.honest:
            if any(frame.variant > 1 for frame in state.sites[u - 1].sent):
                yield Broken.TWO_FRAMES, f"site {u} signed two frames for one step of one transcript"

    def canonical(self, state: State) -> State:
        """Return the least of the states that differ only in the names of honest sites."""
        return min(
            State(tuple(_renamed(state.sites[u - 1], names) for u in order), state.crashes)
            for order, names in _namings(len(self.honest))
        )


def _is_ready(transcript: Transcript) -> bool:
    return len(transcript) == 1 + len(STEPS)


def _with(state: State, u: int, site: Site) -> State:
    return state._replace(sites=(*state.sites[: u - 1], site, *state.sites[u:]))


def _described(seen: List) -> str:
    """Return the senders in a list: a prime for a second variant, a mark for a forgery."""
    marks = ("(forged)", "", "'", "''")
    return "{" + ", ".join(f"{frame.sender}{marks[frame.variant]}" for frame in seen) + "}"


@lru_cache
def _namings(honest: int) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Return all orders of the honest sites, each with the new name of every old one (from position 1)."""
    orders = list(permutations(range(1, honest + 1)))
    return tuple((order, (0, *(order.index(u) + 1 for u in range(1, honest + 1)))) for order in orders)


@cache
def _renamed(site: Site, names: tuple[int, ...]) -> Site:
    sent = tuple(sorted(_renamed_frame(frame, names) for frame in site.sent))
    return Site(_renamed_transcript(site.live, names), _renamed_transcript(site.disk, names), sent)


@cache
def _renamed_transcript(transcript: Transcript, names: tuple[int, ...]) -> Transcript:
    lists = (tuple(sorted(_renamed_frame(frame, names) for frame in seen)) for seen in transcript[1:])
    return (*transcript[:1], *lists)


@cache
def _renamed_frame(frame: Frame, names: tuple[int, ...]) -> Frame:
    sender = names[frame.sender] if frame.sender < len(names) else frame.sender
    return Frame(sender, frame.variant, _renamed_transcript(frame.transcript, names))
