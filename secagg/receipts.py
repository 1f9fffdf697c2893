"""The receipt of a run: the queries, the sites' key commitments and contributions, and the outcome.

Spec: 05-receipts. A coordinator writes an entry with every step it takes, chains the entries by hashes and signs the
last head. The entries contain what the sites signed in the protocol itself (the epoch's receipts over all key
commitments, the digests of the masked vectors with the exact query in their context, the sets of survivors), so that a
coordinator cannot make them up. `verify_receipt` needs only the receipt; whether its roster is the right one is for a
reader who knows its words to check.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from secagg import envelope, merkle
from secagg.audit import GENESIS, BrokenChainError, link, verify_chain
from secagg.codec import U8, Blob, Fixed, Hash, Nested, Record, Round, Seq, Text, record, tagged_hash
from secagg.envelope import COORDINATOR, EVERYONE, NO_TRANSCRIPT, Frame
from secagg.errors import DecodeError, FaultyCoordinatorError, SecaggError
from secagg.identity import MAX_SITES, SIGNATURE_BYTES, Identity, InvalidSignatureError, Roster, verify
from secagg.messages import (
    Cohort,
    Consistency,
    EncapsulationList,
    Id,
    Indices,
    Manifest,
    Open,
    PrekeyList,
    Ready,
    Receipt,
    ShareList,
    Upload,
)
from secagg.protocol import derivations as d
from secagg.protocol.listing import forwarded

VERSION = 1
MAX_ENTRIES = 1 << 20
MAX_ENTRY_BYTES = 64 << 20
MAX_TERMS_BYTES = 1 << 20
PARCEL = "run receipt"
"""Name of the parcel in which a coordinator sends a receipt to a site."""
_LABEL = "run-receipt"
_STEPS = (Cohort.KIND, PrekeyList.KIND, EncapsulationList.KIND, ShareList.KIND)
Frames = Annotated[tuple[Frame, ...], Seq(Nested(Frame), MAX_SITES)]


class ReceiptError(SecaggError):
    """The receipt is not what the coordinator wrote, or not what its sites signed.

    Attributes:
        entry: 0-based number of the first entry that does not match; None if the error concerns the whole receipt.
    """

    def __init__(self, complaint: str, entry: int | None = None) -> None:
        self.entry = entry
        super().__init__(f"the receipt is refused: {'' if entry is None else f'entry {entry}: '}{complaint}")


# Entries -----------------------------------------------------------------------------------------------------------


@record
class Begun(Record):
    """The run, and its project, whose roster and terms every officer confirmed."""

    run: Id
    roster: Roster
    terms: Annotated[bytes, Blob(MAX_TERMS_BYTES)]


@record
class Announced(Record):
    """An epoch, identified by its manifest."""

    manifest: Frame


@record
class Agreed(Record):
    """A step of its setup, closed with a list of this kind.

    `leaves` are the hashes of the senders' frames, with their keys and commitments, as leaves of a Merkle tree. `bound`
    is what else the list fixes: for a Cohort, the hash of all nonce commitments.
    """

    kind: Annotated[int, U8]
    senders: Indices
    leaves: Annotated[tuple[bytes, ...], Seq(Fixed(32), MAX_SITES)]
    bound: Annotated[bytes, Blob(32)]


@record
class EpochPrepared(Record):
    """The members' receipts; each member signed the transcript of everything above."""

    receipts: Frames


@record
class Asked(Record):
    """A round that was opened."""

    round: Round
    opening: Open


@record
class Contributed(Record):
    """The uploads in the sum, each the signed digest of a masked vector."""

    uploads: Frames


@record
class Confirmed(Record):
    """The survivors' signatures on this set of uploads."""

    signatures: Frames


@record
class Released(Record):
    """The sum was sent to its sites: the statement of its set, and the root of the sum or of its ciphertexts."""

    statement: Hash
    root: Hash


@record
class Abandoned(Record):
    """The round was abandoned."""

    round: Round


@record
class Ended(Record):
    """How the run ended."""

    outcome: Annotated[str, Text(200)]


KINDS: tuple[type[Record], ...] = (
    Begun,
    Announced,
    Agreed,
    EpochPrepared,
    Asked,
    Contributed,
    Confirmed,
    Released,
    Abandoned,
    Ended,
)
"""The kinds of entries; their numbers count from 1."""


@record
class Entry(Record):
    """An entry, and the chain head after it."""

    kind: Annotated[int, U8]
    body: Annotated[bytes, Blob(MAX_ENTRY_BYTES)]
    head: Hash


@record
class RunReceipt(Record):
    """The complete receipt, as stored and sent. The coordinator's signature covers the last head."""

    version: Annotated[int, U8]
    entries: Annotated[tuple[Entry, ...], Seq(Nested(Entry), MAX_ENTRIES)]
    signature: Annotated[bytes, Fixed(SIGNATURE_BYTES)]


def chained(content: Record, head: bytes) -> Entry:
    """Return the entry for some content after a head; the first one follows `audit.GENESIS`."""
    kind, body = KINDS.index(type(content)) + 1, content.encode()
    return Entry(kind=kind, body=body, head=link(head, _linked(kind, body)))


def signed(entries: Iterable[Entry], identity: Identity) -> RunReceipt:
    """Return the receipt with these entries."""
    kept = tuple(entries)
    head = kept[-1].head if kept else GENESIS
    return RunReceipt(version=VERSION, entries=kept, signature=identity.sign(_LABEL, head))


def _linked(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + body


# What a receipt shows ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoundShown:
    """A round, as signed by its sites.

    Attributes:
        query: exact bytes of the query.
        asked: keys of the sites asked, ascending.
        uploads: digests of the masked vectors in the sum, by site key; empty if there was no sum.
        root: root of the sum or of its ciphertexts; None if nothing was released.
    """

    round: int
    epoch: int
    query: bytes
    asked: tuple[bytes, ...]
    uploads: dict[bytes, bytes] = field(default_factory=dict)
    root: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReceiptFindings:
    """The facts that a valid receipt shows.

    Attributes:
        epochs: numbers of the epochs that completed their setup.
        commitments: hashes of the members' frames with keys and commitments, by epoch and site key.
        outcome: how the run ended; "" if the coordinator recorded no end.
        head: chain head, which identifies the whole receipt.
    """

    run: bytes
    roster: Roster
    terms: bytes
    epochs: tuple[int, ...]
    commitments: dict[int, dict[bytes, bytes]]
    rounds: tuple[RoundShown, ...]
    outcome: str
    head: bytes


def read(data: bytes) -> RunReceipt:
    """Parse an untrusted receipt.

    Raises:
        ReceiptError: the bytes are not a receipt of this version.
    """
    if data[:1] != bytes([VERSION]):
        raise ReceiptError(f"it is not a receipt of version {VERSION}")
    try:
        return RunReceipt.decode(data)
    except DecodeError as error:
        raise ReceiptError(f"its bytes were changed or truncated ({error})") from None


def verify_receipt(receipt: RunReceipt) -> ReceiptFindings:
    """Verify that a receipt is consistent: the chain, the coordinator's signature, and everything that sites signed.

    Raises:
        ReceiptError: something was changed, removed, added or moved; the message says what and where.
    """
    pairs = [(_linked(entry.kind, entry.body), entry.head) for entry in receipt.entries]
    try:
        head = verify_chain(pairs)
    except BrokenChainError as error:
        raise ReceiptError("this or an earlier entry was changed, removed or moved", error.position) from None
    verifier = _ReceiptVerifier()
    for number, entry in enumerate(receipt.entries):
        try:
            verifier.take(_content(entry))
        except (_MisfitError, FaultyCoordinatorError) as error:
            raise ReceiptError(str(error), number) from None
    begun = verifier.begun
    if begun is None:
        raise ReceiptError("it has no entries")
    try:
        verify(begun.roster.coordinator, _LABEL, head, receipt.signature)
    except InvalidSignatureError:
        raise ReceiptError(
            "its last entry is not the one that the roster's coordinator signed: entries were removed or added"
        ) from None
    return ReceiptFindings(
        begun.run,
        begun.roster,
        begun.terms,
        tuple(verifier.commitments),
        verifier.commitments,
        tuple(verifier.rounds),
        verifier.outcome,
        head,
    )


class _MisfitError(Exception):
    """An entry does not fit the entries before it; the message says why."""


def _content(entry: Entry) -> Any:
    if not 1 <= entry.kind <= len(KINDS):
        raise _MisfitError(f"entry kind {entry.kind} does not exist")
    kind = KINDS[entry.kind - 1]
    try:
        return kind.decode(entry.body)
    except DecodeError as error:
        raise _MisfitError(f"it is not a valid {kind.__name__} ({error})") from None


class _ReceiptVerifier:
    """Checks each entry, in order, against those before it."""

    def __init__(self) -> None:
        self.begun: Begun | None = None
        self.rounds: list[RoundShown] = []
        self.commitments: dict[int, dict[bytes, bytes]] = {}
        self.outcome = ""
        self._takes: dict[type[Record], Callable[[Any], tuple[type[Record], ...]]] = {
            Begun: self._on_begun,
            Announced: self._on_announced,
            Agreed: self._on_agreed,
            EpochPrepared: self._on_prepared,
            Asked: self._on_asked,
            Contributed: self._on_contributed,
            Confirmed: self._on_confirmed,
            Released: self._on_released,
            Abandoned: self._on_abandoned,
            Ended: self._on_ended,
        }
        self._next: tuple[type[Record], ...] = (Begun,)
        self._last_epoch, self._next_round, self._is_ready = 0, 1, False
        self._steps: list[int] = []
        self._keys: dict[int, bytes] = {}

    def take(self, content: Record) -> None:
        """Check an entry and record which kinds may follow."""
        kind = type(content)
        if kind not in self._next:
            names = " or ".join(one.__name__ for one in self._next) or "nothing"
            raise _MisfitError(f"found {kind.__name__}, expected {names}")
        self._next = self._takes[kind](content)

    def _on_begun(self, begun: Begun) -> tuple[type[Record], ...]:
        if begun.roster.terms != tagged_hash("terms", begun.terms):
            raise _MisfitError("the terms do not match the roster")
        self.begun = begun
        return Announced, Ended

    def _on_announced(self, announced: Announced) -> tuple[type[Record], ...]:
        assert self.begun is not None  # set by the first entry
        begun = self.begun
        frame = announced.manifest
        try:
            frame.verify(begun.roster.coordinator)
            manifest = Manifest.decode(frame.body)
        except (InvalidSignatureError, DecodeError):
            raise _MisfitError("the manifest is not signed by the roster's coordinator") from None
        epoch = d.epoch_hash(frame.body)
        place = (frame.version, frame.kind, frame.epoch, frame.transcript, frame.round, frame.sender, frame.recipient)
        if place != (envelope.VERSION, Manifest.KIND, epoch, NO_TRANSCRIPT, 0, COORDINATOR, EVERYONE):
            raise _MisfitError("the header of the manifest's frame is wrong")
        if (manifest.run, manifest.project, manifest.roster) != (
            begun.run,
            begun.roster.project,
            begun.roster.digest(),
        ):
            raise _MisfitError("the manifest belongs to another run, project or roster")
        if not set(manifest.sites) <= set(begun.roster.sites):
            raise _MisfitError("the manifest names a site that is not in the roster")
        if manifest.epoch <= self._last_epoch or manifest.first_round < self._next_round:
            raise _MisfitError("the epochs and their rounds are not in ascending order")
        self._manifest, self._epoch, self._transcript = manifest, epoch, epoch
        self._last_epoch, self._steps, self._is_ready = manifest.epoch, list(_STEPS), False
        self._members = tuple(range(1, len(manifest.sites) + 1))
        return Agreed, Announced, Ended

    def _on_agreed(self, agreed: Agreed) -> tuple[type[Record], ...]:
        if agreed.kind != self._steps.pop(0):
            raise _MisfitError("the steps of the setup are out of order")
        if not set(agreed.senders) <= set(self._members) or len(agreed.leaves) != len(agreed.senders):
            raise _MisfitError("a sender in the list was not in the previous one, or has no frame in it")
        self._members = agreed.senders
        bound = (agreed.bound,) if agreed.kind == Cohort.KIND else ()
        if bool(agreed.bound) != bool(bound):
            raise _MisfitError("only the first list may fix anything besides its frames")
        root = merkle.root_of_hashes(agreed.leaves)
        self._transcript = d.transcript_after(self._transcript, agreed.kind, agreed.senders, root, bound)
        if agreed.kind == PrekeyList.KIND:
            self._keys = dict(zip(agreed.senders, agreed.leaves, strict=True))
        return (Agreed if self._steps else EpochPrepared), Announced, Ended

    def _on_prepared(self, prepared: EpochPrepared) -> tuple[type[Record], ...]:
        frames = self._frames(prepared.receipts, Receipt)
        if not set(frames) <= set(self._members) or len(frames) < self._manifest.survivors:
            raise _MisfitError("there are too few members, or one was not in the setup")
        self._members = tuple(frames)
        root = merkle.root(frame.encode() for frame in frames.values())
        self._transcript = d.transcript_after(self._transcript, Ready.KIND, self._members, root)
        self.commitments[self._manifest.epoch] = {self._key(site): self._keys[site] for site in self._members}
        self._next_round, self._is_ready = self._manifest.first_round, True
        return Asked, Announced, Ended

    def _on_asked(self, asked: Asked) -> tuple[type[Record], ...]:
        opening, manifest = asked.opening, self._manifest
        if not self._next_round <= asked.round < manifest.first_round + manifest.rounds:
            raise _MisfitError(f"round {asked.round} is over, or not part of this epoch")
        if not set(opening.roster) <= set(self._members) or len(opening.roster) < manifest.survivors:
            raise _MisfitError("the round asks too few sites, or one that is not a member or was lost")
        self._round, self._next_round, self._roster = asked.round, asked.round + 1, opening.roster
        self._context = d.context_hash(self._epoch, self._transcript, asked.round, opening.encode())
        keys = tuple(self._key(site) for site in opening.roster)
        self.rounds.append(RoundShown(asked.round, manifest.epoch, opening.query, keys))
        return Contributed, Abandoned

    def _on_contributed(self, contributed: Contributed) -> tuple[type[Record], ...]:
        frames = self._frames(contributed.uploads, Upload, self._round)
        if not set(frames) <= set(self._roster) or len(frames) < self._manifest.survivors:
            raise _MisfitError("there are too few survivors, or one was not asked")
        uploads = {site: self._body(Upload, frame) for site, frame in frames.items()}
        for site, upload in uploads.items():
            if upload.context != self._context:
                raise _MisfitError(f"site {site} contributed to another query, roster or schema")
        self._members = tuple(frames)
        root = merkle.root(frame.encode() for frame in frames.values())
        self._statement = d.survivors_statement(self._epoch, self._round, self._context, self._members, root)
        self._uploads = {self._key(site): upload.root for site, upload in uploads.items()}
        return (Confirmed if self._manifest.signs_survivors else Released), Abandoned

    def _on_confirmed(self, confirmed: Confirmed) -> tuple[type[Record], ...]:
        frames = self._frames(confirmed.signatures, Consistency, self._round)
        if not set(frames) <= set(self._members) or len(frames) < self._manifest.threshold:
            raise _MisfitError("fewer survivors signed their set than the threshold requires")
        for site, frame in frames.items():
            if self._body(Consistency, frame).statement != self._statement:
                raise _MisfitError(f"site {site} signed a different set of survivors")
        return Released, Abandoned

    def _on_released(self, released: Released) -> tuple[type[Record], ...]:
        if released.statement != self._statement:
            raise _MisfitError("the sum covers a different set of survivors from the one signed")
        opened = self.rounds.pop()
        self.rounds.append(
            RoundShown(opened.round, opened.epoch, opened.query, opened.asked, self._uploads, released.root)
        )
        return Asked, Announced, Ended

    def _on_abandoned(self, abandoned: Abandoned) -> tuple[type[Record], ...]:
        if abandoned.round != self._round:
            raise _MisfitError(f"round {abandoned.round} is not the open round")
        return Asked, Announced, Ended

    def _on_ended(self, ended: Ended) -> tuple[type[Record], ...]:
        self.outcome = ended.outcome
        return (Announced, Ended, Asked) if self._is_ready else (Announced, Ended)  # a run may be continued

    def _frames(self, frames: Iterable[Frame], kind: Any, round_: int = 0) -> dict[int, Frame]:
        return forwarded(
            tuple(frames),
            self._manifest,
            kind=kind,
            epoch=self._epoch,
            transcript=self._transcript,
            round_=round_,
        )

    def _body(self, kind: Any, frame: Frame) -> Any:
        try:
            return kind.decode(frame.body)
        except DecodeError as error:
            raise _MisfitError(f"what site {frame.sender} signed is not a valid {kind.__name__} ({error})") from None

    def _key(self, site: int) -> bytes:
        return self._manifest.sites[site - 1]
