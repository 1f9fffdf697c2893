"""A cohort of the pure state machines, run one message at a time, with methods to attack it.

A `Play` is a coordinator and n sites whose keys and randomness come from one seed. It runs to any message of the
protocol; from there a test takes the messages in transit, forges frames that are correctly signed but wrong, and says
who must refuse them and how:

    play = at(Survivors, n=4)
    uploads = play.listed(Survivors)
    play.refuses(1, play.forge_list(Survivors, uploads[:2]), FaultyCoordinatorError, "V-0510")

`refuses` asserts the class of the error, the check's ID and the party that it names, and that the state is unchanged.
Only encapsulations do not follow from the seed, since the library draws them; they are drawn once per process.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

from secagg import envelope, keys
from secagg.envelope import COORDINATOR, EVERYONE, Frame
from secagg.errors import ProtocolError, SecaggError
from secagg.identity import Identity, Roster
from secagg.keys import unseal
from secagg.messages import (
    MESSAGES,
    Cohort,
    Consistency,
    EncapsulationList,
    Join,
    Listing,
    Manifest,
    Open,
    Opened,
    Opening,
    PrekeyList,
    Prekeys,
    ProtocolMessage,
    Quorum,
    Ready,
    Receipt,
    Result,
    SealedShares,
    ShareList,
    Shares,
    Suite,
    Survivors,
    Unmask,
    Upload,
)
from secagg.messages import Encapsulations as EncapsulationsMessage
from secagg.params import Floors, LossRule, Profile, Schema, Segment
from secagg.protocol import derivations as d
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.participant_round import AwaitRelease
from secagg.protocol.participant_setup import Outside
from secagg.protocol.ring_vector import RingVector, open_vector
from secagg.protocol.step import Ask, Close, Confirm, Contribute, Event, Publish, Release, Step
from secagg.protocol.table import encode_state, receive, tell
from secagg.quantize import quantize
from tests.support.party import Parcel, Party, sum_of

SETUP_DEADLINE = 1_000
ROUND_DEADLINE = 2_000
EXPIRES = 10_000
RUN = b"one run of these"
PROJECT = b"a project of us "
QUERY = b"how many of each"

ORDER: tuple[type[ProtocolMessage], ...] = (
    Manifest,
    Join,
    Cohort,
    Prekeys,
    PrekeyList,
    EncapsulationsMessage,
    EncapsulationList,
    Shares,
    ShareList,
    Receipt,
    Ready,
    Open,
    Upload,
    Survivors,
    Consistency,
    Quorum,
    Unmask,
    Result,
    SealedShares,
    Opening,
    Opened,
)
HOMOMORPHIC = (SealedShares, Opening, Opened)
LISTS: dict[type[ProtocolMessage], str] = {
    Cohort: "joins",
    PrekeyList: "prekeys",
    EncapsulationList: "headers",
    ShareList: "headers",
    Ready: "receipts",
    Survivors: "uploads",
    Quorum: "signatures",
}
"""The lists that the coordinator passes on, with the field that holds the sites' frames."""

SETUP_LISTS = tuple(LISTS)[:5]
FROM_SITES = frozenset({Join, Prekeys, EncapsulationsMessage, Shares, Receipt, Upload, Consistency, Unmask})

SCHEMA = Schema(ring_bits=11, mac_lanes=2, segments=(Segment(count=3, clip=8.0, step=0.0625),))


class Play:
    """A cohort in some step of the protocol: `stage` is the kind of message in transit.

    Args:
        n: number of sites; site i of the manifest is party i, the coordinator is party 0.
        seed: seed of all keys and all randomness.
        absent: sites that never take part, from the first message on.
        terms: fields of the `Plan`, such as `threshold` or `loss_rule`.
    """

    def __init__(
        self,
        n: int = 3,
        *,
        rounds: int = 1,
        seed: int = 1,
        profile: Profile = Profile.MALICIOUS,
        loss_rule: LossRule = LossRule.CONTINUE,
        schema: Schema = SCHEMA,
        roster: tuple[int, ...] = (),
        absent: Collection[int] = (),
        **terms: Any,
    ) -> None:
        self.options = {"n": n, "rounds": rounds, "seed": seed, "profile": profile.name, "loss_rule": loss_rule.name}
        self.options |= {"absent": tuple(absent)} | terms
        self.n, self.schema, self.asked = n, schema, roster
        self.present = set(range(1, n + 1)) - set(absent)
        self.hidden = [False] * schema.length  # entries that the sites do not publish
        self.vectors = {site: [0.5 * site, -1.0 * site, 0.0625] for site in range(1, n + 1)}
        root = sha256(b"play %d" % seed).digest()
        head, self.stranger = _identity(root, b"coordinator"), _identity(root, b"stranger")
        sites = sorted((_identity(root, b"site %d" % i) for i in range(n)), key=lambda one: one.public)
        self.roster = Roster.of(PROJECT, b"the terms", head.public, [one.public for one in sites])
        self.plan = Plan(
            roster=self.roster,
            sites=self.roster.sites,
            run=RUN,
            rounds=rounds,
            setup_deadline=SETUP_DEADLINE,
            expires=EXPIRES,
            profile=profile,
            loss_rule=loss_rule,
            **terms,
        )
        outside = Outside(roster=self.roster, run=RUN, floors=Floors(profile=profile), last_epoch=0, survivors=())
        self.parties = {site: Party(site, one, outside, root + b"%d" % site) for site, one in enumerate(sites, 1)}
        coordinator = Party(COORDINATOR, head, outside, root + b"0")
        self.parties[COORDINATOR] = coordinator
        self.mail: dict[type[ProtocolMessage], list[Parcel]] = {}
        self._post(coordinator.settle(announce(self.plan, coordinator.inputs())), Manifest)

    def __repr__(self) -> str:
        return f"Play({', '.join(f'{name}={value}' for name, value in self.options.items())}) at {self.stage.__name__}"

    def copy(self) -> "Play":
        """Return an independent play that continues from here."""
        other = copy(self)
        other.parties = {index: party.copy() for index, party in self.parties.items()}
        other.mail = {kind: list(parcels) for kind, parcels in self.mail.items()}
        other.present, other.vectors = set(self.present), dict(self.vectors)
        return other

    @property
    def is_sparse(self) -> bool:
        return self.plan.degree > 0

    @property
    def is_homomorphic(self) -> bool:
        return self.plan.suite is Suite.X25519_MLKEM768_AES256_BFV

    # Running -------------------------------------------------------------------------------------------------------

    def until(self, kind: type[ProtocolMessage]) -> "Play":
        """Run until the next messages of this kind are in transit, and nobody has received one."""
        self.advance()
        while self.stage is not kind:
            self.advance()
        return self

    def advance(self) -> None:
        """Deliver all messages in transit to the parties present, and post their answers."""
        delivered, sent = self.stage, []
        for parcel in self.mail[delivered]:
            for index in self._receivers(parcel.frame):
                sent += self.parties[index].receive(parcel)
        sent += self._went_on(delivered)
        self._post(sent, self.after(delivered))

    def after(self, kind: type[ProtocolMessage]) -> type[ProtocolMessage]:
        """Return the kind of message that follows in this play; each round is followed by another."""
        merged = self.plan.profile is Profile.SEMI_HONEST and not self.is_sparse
        steps = [one for one in ORDER if not (merged and one in {Consistency, Quorum})]
        left_out = (Unmask, Result) if self.is_homomorphic else HOMOMORPHIC
        steps = [one for one in steps if one not in left_out]
        return Open if kind is steps[-1] else steps[steps.index(kind) + 1]

    def _went_on(self, delivered: type[ProtocolMessage]) -> Iterator[Parcel]:
        """Give the parties the events that their drivers would give them after this delivery."""
        coordinator = self.parties[COORDINATOR]
        if delivered in {Open, Survivors}:
            for site in sorted(self.present):
                party = self.parties[site]
                if delivered is Open and self._is_asked(site):
                    yield from party.tell(Contribute(self.vectors[site]))
                elif delivered is Survivors:
                    yield from party.tell(Confirm(publish=self.is_homomorphic))
        elif delivered is Opening:
            for party in (self.parties[site] for site in sorted(self.present)):
                if isinstance(party.state, AwaitRelease):
                    yield from party.tell(Release(self.hidden))
        elif delivered is SealedShares:
            yield from coordinator.tell(Publish(sum_of(None, coordinator.total)))
        elif delivered in {Ready, Result, Opened}:
            if delivered is Opened:
                yield from coordinator.tell(Close())
            coordinator.total = None
            yield from coordinator.tell(Ask(QUERY, self.schema, ROUND_DEADLINE, self.asked))
        elif delivered in FROM_SITES:
            yield from coordinator.tell(Close())
        if delivered is Unmask:
            total = sum_of(None, coordinator.total)
            total.mask(coordinator.state.masks, remove=True)
            yield from coordinator.tell(Publish(total))

    def _is_asked(self, site: int) -> bool:
        return any(parcel.frame.recipient == site for parcel in self.mail[Open])

    def _receivers(self, frame: Frame) -> list[int]:
        if frame.recipient == COORDINATOR:
            return [COORDINATOR] if frame.sender in self.present else []
        return sorted(self.present if frame.recipient == EVERYONE else {frame.recipient} & self.present)

    def _post(self, sent: list[Parcel], stage: type[ProtocolMessage]) -> None:
        assert {MESSAGES[parcel.frame.kind] for parcel in sent} == {stage}, f"{self.options}: nothing but {stage}"
        self.stage = stage
        self.mail[stage] = sent

    # Querying ------------------------------------------------------------------------------------------------------

    def state(self, index: int) -> Any:
        return self.parties[index].state

    def parcel(self, kind: type[ProtocolMessage], sender: int = COORDINATOR, to: int = 1) -> Parcel:
        """Return the last parcel of this kind from a site, or from the coordinator to everyone or to site `to`."""
        for parcel in self.mail[kind]:
            if parcel.frame.sender == sender and (sender or parcel.frame.recipient in {to, EVERYONE}):
                return parcel
        raise AssertionError(f"{self}: no {kind.__name__} from {sender} to {to}")

    def frame(self, kind: type[ProtocolMessage], sender: int = COORDINATOR, to: int = 1) -> Frame:
        return self.parcel(kind, sender, to).frame

    def message(self, kind: type[ProtocolMessage], sender: int = COORDINATOR, to: int = 1) -> Any:
        """Return the message itself, unsealed."""
        frame = self.frame(kind, sender, to)
        body = unseal(self.key(kind, sender or to), frame.body, frame.header()) if kind.SEALED else frame.body
        return kind.decode(body)

    def listed(self, kind: type[ProtocolMessage], to: int = 1) -> tuple[Frame, ...]:
        """Return the sites' frames in one of the coordinator's lists."""
        found = getattr(self.message(kind, to=to), LISTS[kind])
        return found if kind is Quorum else found.frames

    def integers(self, site: int) -> list[int]:
        """Return a site's vector as the integers that it masks."""
        return quantize(self.vectors[site], self.schema).values.tolist()

    def masked(self, site: int) -> RingVector:
        """Return the masked vector in a site's upload, as the coordinator opens it."""
        parcel, current = self.parcel(Upload, site), self._round_of_coordinator()
        bound = d.vector_bound(self.epoch, Upload.KIND, site, current.round, current.context)
        return open_vector(parcel.payload, self.schema, self.key(Upload, site), bound, self.message(Upload, site).root)

    def key(self, kind: type[ProtocolMessage], site: int) -> bytes:
        """Return the channel key for the message of this kind in transit between coordinator and site."""
        if kind is Open:
            chain, eh = self.state(site).channel_chain, self.epoch
            return d.channel_key(chain, self.frame(Open, to=site).round, Open.KIND, eh)
        name = {Unmask: "answer", Opened: "answer", Result: "result", Opening: "result", Upload: "upload"}.get(
            kind, "decline"
        )
        return getattr(self._round_of_coordinator().keys[site], name)

    def _round_of_coordinator(self) -> Any:
        coordinator = self.parties[COORDINATOR]
        return next(s.current for s in (coordinator.state, *reversed(coordinator.past)) if hasattr(s, "current"))

    @property
    def epoch(self) -> bytes:
        return self.mail[Manifest][0].frame.epoch

    # Forging -------------------------------------------------------------------------------------------------------

    def forge(
        self,
        kind: type[ProtocolMessage],
        sender: int = COORDINATOR,
        to: int = 1,
        *,
        payload: bytes | None = None,
        author: int | None = None,
        at: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Parcel:
        """Return a parcel with different content, signed by its sender.

        Args:
            payload: payload to replace the one that was sent.
            author: party that signs, or a number that belongs to no party for a stranger.
            at: other header fields: kind, epoch, transcript, round_, sender, recipient. Another sender also signs.
            changes: other fields of the message.
        """
        sent = self.parcel(kind, sender, to)
        message = replace(self.message(kind, sender, to), **changes)
        key = self.key(kind, sender or to) if kind.SEALED else None
        frame = self.resign(sent.frame, message.encode(), author=author, key=key, at=at)
        return Parcel(frame, sent.payload if payload is None else payload)

    def forge_list(self, kind: type[ProtocolMessage], frames: Collection[Frame], to: int = 1) -> Parcel:
        """Return one of the coordinator's lists with other frames in it."""
        return self.forge(kind, to=to, **{LISTS[kind]: tuple(frames) if kind is Quorum else listing(frames)})

    def write(
        self,
        message: ProtocolMessage,
        like: Frame,
        *,
        author: int | None = None,
        key: bytes | None = None,
        at: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Return a frame of any message in place of another frame, signed by its sender or by another author."""
        return self.resign(replace(like, kind=message.KIND), message.encode(), author=author, key=key, at=at)

    def resign(
        self,
        frame: Frame,
        body: bytes,
        *,
        author: int | None = None,
        key: bytes | None = None,
        at: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Return the frame with another body, sealed if there is a key, and signed again."""
        place = {
            "kind": frame.kind,
            "epoch": frame.epoch,
            "transcript": frame.transcript,
            "round_": frame.round,
            "sender": frame.sender,
            "recipient": frame.recipient,
        } | dict(at or {})
        if key is not None:
            body = keys.seal(key, body, envelope.header(*place.values()))
        return envelope.sign(self._identity_of(place["sender"] if author is None else author), body, **place)

    def _identity_of(self, index: int) -> Identity:
        return self.parties[index].identity if index in self.parties else self.stranger

    def swap(self, kind: type[ProtocolMessage], sender: int, forged: Parcel) -> None:
        """Replace a party's parcel in transit; the party believes that it sent the replacement."""
        sent = self.parcel(kind, sender)
        self.mail[kind] = [forged if parcel is sent else parcel for parcel in self.mail[kind]]
        party = self.parties[sender]
        for name in ("join", "prekeys", "encapsulations", "shares", "receipt", "upload"):
            if getattr(party.state, name, None) == sent.frame:
                party.state = replace(party.state, **{name: forged.frame})

    # Judging -------------------------------------------------------------------------------------------------------

    def refuses(
        self,
        index: int,
        parcel: Parcel | bytes,
        error: type[ProtocolError],
        check: str,
        *,
        blames: int | None = None,
    ) -> None:
        """Assert that a party refuses this with exactly this error, and that its state is unchanged."""
        data, payload = (parcel, None) if isinstance(parcel, bytes) else (parcel.frame.encode(), parcel.payload)
        party = self.parties[index]
        self._raises(party, lambda: receive(party.state, data, party.inputs(), payload), (error, check, blames))

    def denies(
        self, index: int, event: Event, error: type[SecaggError], check: str | None = None, *, blames: int | None = None
    ) -> None:
        """Assert that a party raises exactly this on a local event, and that its state is unchanged."""
        party = self.parties[index]
        self._raises(party, lambda: tell(party.state, event, party.inputs()), (error, check, blames))

    def _raises(self, party: Party, step: Callable[[], Step], expected: tuple[type, str | None, int | None]) -> None:
        before = encode_state(party.state)
        caught = _error_of(step)
        got = (type(caught), getattr(caught, "check", None), getattr(caught, "party", None))
        assert got == expected, f"{self}: {expected} of party {party.index}, got {caught!r}"
        assert encode_state(party.state) == before, f"{self}: what party {party.index} refused has changed its state"


def offered(play: Play, **terms: Any) -> Parcel:
    """Return the manifest with other terms, named by its own hash."""
    manifest = replace(play.message(Manifest), **terms)
    return play.forge(Manifest, at={"epoch": d.epoch_hash(manifest.encode())}, **terms)


def listing(frames: Collection[Frame]) -> Listing:
    """Return a list that shows all its frames."""
    return Listing(senders=tuple(sorted({frame.sender for frame in frames})), frames=tuple(frames), siblings=())


def _error_of(step: Callable[[], Step]) -> SecaggError | None:
    try:
        step()
    except SecaggError as error:
        return error
    return None


def _identity(root: bytes, name: bytes) -> Identity:
    return Identity(sha256(root + name).digest())


def at(kind: type[ProtocolMessage], **options: Any) -> Play:
    """Return a play whose messages of this kind are in transit for the first time."""
    return _played(kind, tuple(sorted(options.items()))).copy()


@cache
def _played(kind: type[ProtocolMessage], options: tuple[tuple[str, Any], ...]) -> Play:
    if kind is Manifest:
        return Play(**dict(options))
    homomorphic = dict(options).get("suite") is Suite.X25519_MLKEM768_AES256_BFV
    steps = [one for one in ORDER if one not in ((Unmask, Result) if homomorphic else HOMOMORPHIC)]
    play = _played(steps[steps.index(kind) - 1], options).copy()
    if play.after(play.stage) is kind:
        play.advance()
    return play
