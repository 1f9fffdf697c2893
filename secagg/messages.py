"""The messages of protocol 1, in the order in which they are sent.

Spec: 01-wire §6, 02-protocol §5 and §6. A message is the body of a signed frame (`secagg.envelope`). Lists contain
other sites' complete frames, so that each recipient checks the authors' signatures itself. Content that does not fit
into a frame, or differs per recipient, travels alongside as a payload that the body binds by a hash.

    epoch   coordinator              site                  round   coordinator          site
            Manifest            ->                                 Open            ->
                                <-   Join                                          <-   Upload, or Decline
            Cohort              ->                                 Survivors       ->
                                <-   Prekeys                                       <-   Consistency   (malicious)
            PrekeyList          ->                                 Quorum          ->                 (malicious)
                                <-   Encapsulations                                <-   Unmask
            EncapsulationList   ->                                 Result          ->
                                <-   Shares
            ShareList           ->
                                <-   Receipt
            Ready               ->

In a homomorphic epoch the sites answer a Quorum with SealedShares; the coordinator sends the encrypted sum as Opening,
and the sites that are to publish the opened sum send Opened.
"""

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct
from typing import Annotated, ClassVar

from secagg.codec import (
    U8,
    U16,
    U32,
    U64,
    Ascending,
    Blob,
    Encoded,
    Fixed,
    Hash,
    Kept,
    Map,
    Nested,
    Record,
    Round,
    Seq,
    Text,
    record,
)
from secagg.envelope import MAX_FRAME_BYTES, Frame
from secagg.graph import Parameters, is_private
from secagg.identity import KEY_BYTES, MAX_SITES, PublicKey
from secagg.keys import KEM_CIPHERTEXT_BYTES, KEM_PUBLIC_BYTES, TAG_BYTES, X25519_BYTES
from secagg.params import MAX_ROUNDS, LossRule, Profile, Schema

HASH_BYTES = 32
SECRET_BYTES = 32
SHARE_BYTES = SECRET_BYTES
MAX_QUERY_BYTES = 1 << 20
_COUNT = Struct(">I")
MAX_PATH = 17  # a Merkle tree over 65,534 leaves

Frames = Annotated[tuple[Frame, ...], Seq(Nested(Frame), MAX_SITES)]
Indices = Annotated[tuple[int, ...], Ascending(U16, MAX_SITES)]
Hashes = Annotated[tuple[bytes, ...], Seq(Fixed(32), MAX_ROUNDS)]
Path = Annotated[tuple[bytes, ...], Seq(Fixed(32), MAX_PATH)]
Id = Annotated[bytes, Fixed(16)]
Ciphertext = Annotated[bytes, Fixed(KEM_CIPHERTEXT_BYTES)]


@record
class Listing(Kept):
    """A list of the sites' frames, of which the recipient is shown some; the siblings lead to the root over all."""

    senders: Indices
    frames: Frames
    siblings: Annotated[tuple[bytes, ...], Seq(Fixed(32), MAX_SITES)]


class Suite(IntEnum):
    """The algorithms of an epoch, with their parameters; the second suite sums under homomorphic encryption."""

    X25519_MLKEM768_AES256 = 1
    X25519_MLKEM768_AES256_BFV = 2


SUITES: Mapping[str, Suite] = {"masks": Suite.X25519_MLKEM768_AES256, "he": Suite.X25519_MLKEM768_AES256_BFV}
"""By mode: how sums are made."""


class ProtocolMessage(Record):
    """Base of all message bodies.

    Attributes:
        KIND: message kind in the frame's header.
        SEALED: whether the body is a ciphertext on the wire.
        TO_EVERYONE: whether the coordinator signs one frame for all sites instead of one for each. Never both in one
        epoch,     so that each kind has one slot per recipient: see `Manifest.is_shared`.
    """

    __slots__ = ()
    KIND: ClassVar[int]
    SEALED: ClassVar[bool] = False
    TO_EVERYONE: ClassVar[bool] = False


@record
class Manifest(ProtocolMessage):
    """The terms of an epoch, named by its hash. A site's index is its place in `sites`, counted from 1."""

    KIND = 1
    TO_EVERYONE = True
    suite: Suite
    profile: Profile
    loss_rule: LossRule
    project: Id
    roster: Hash
    run: Id
    epoch: Annotated[int, U32]
    first_round: Round
    rounds: Annotated[int, U32]
    threshold: Annotated[int, U16]
    colluders: Annotated[int, U16]
    survivors: Annotated[int, U16]
    slack: Annotated[int, U16]
    setup_deadline: Annotated[int, U64]
    expires: Annotated[int, U64]
    max_lanes: Annotated[int, U32]
    max_ring_bits: Annotated[int, U8]
    degree: Annotated[int, U16]
    privacy: Annotated[bytes, Blob(4096)]
    coordinator: PublicKey
    coordinator_curve: Annotated[bytes, Fixed(X25519_BYTES)]
    sites: Annotated[tuple[bytes, ...], Seq(Fixed(KEY_BYTES), MAX_SITES)]

    @property
    def is_sparse(self) -> bool:
        return self.degree > 0

    @property
    def is_homomorphic(self) -> bool:
        """Whether the coordinator adds ciphertexts and only the sites open the sum."""
        return self.suite is Suite.X25519_MLKEM768_AES256_BFV

    @property
    def most_holders(self) -> int:
        """Maximum number of sites that hold a dealer's shares."""
        return self.degree or len(self.sites)

    @property
    def signs_survivors(self) -> bool:
        """Whether survivors are signed before they are unmasked: always, except semi-honest on the complete graph."""
        return self.profile is Profile.MALICIOUS or self.is_sparse

    def is_private_for(self, sites: int) -> bool:
        """Return whether a sparse graph over this many sites tolerates the colluders and losses down to the minimum."""
        return is_private(
            sites,
            Parameters(self.degree, self.threshold),
            corrupt=min(sites, self.colluders),
            lost=sites - self.survivors,
            malicious=self.profile is Profile.MALICIOUS,
        )

    def is_shared(self, kind: type[ProtocolMessage]) -> bool:
        """Return whether messages of this kind are one frame for everyone; on a sparse graph only the manifest is."""
        return kind.TO_EVERYONE and (kind is Manifest or not self.is_sparse)


@record
class Join(ProtocolMessage):
    """A site joins the epoch whose hash the frame names."""

    KIND = 2
    nonce_commitment: Hash


@record
class Cohort(ProtocolMessage):
    """Who joined. One hash covers all nonce commitments, as on a sparse graph nobody is shown the others'."""

    KIND = 3
    TO_EVERYONE = True
    joins: Listing
    nonces: Hash


@record
class Prekeys(ProtocolMessage):
    """A site's keys for the epoch and commitments to its secrets; the nonce opens the commitment in its Join."""

    KIND = 4
    nonce: Hash
    curve: Annotated[bytes, Fixed(X25519_BYTES)]
    kem: Annotated[bytes, Fixed(KEM_PUBLIC_BYTES)]
    self_commitments: Hashes
    mac_commitment: Hash


@record
class PrekeyList(ProtocolMessage):
    """All prekeys, and the coordinator's encapsulation to the recipient; on a sparse graph, all nonces as payload."""

    KIND = 5
    prekeys: Listing
    ciphertext: Ciphertext


@record
class Encapsulations(ProtocolMessage):
    """A site's encapsulations to all sites of higher index; the root covers its slots, ordered by recipient."""

    KIND = 6
    root: Hash


@record
class EncapsulationPackage(Record):
    """Payload of Encapsulations: one ciphertext per recipient."""

    slots: Annotated[Mapping[int, bytes], Map(U16, Fixed(KEM_CIPHERTEXT_BYTES), MAX_SITES)]


@record
class EncapsulationSlot(Record):
    """What one sender encapsulated to the recipient of a list, with the path to the sender's signed root."""

    ciphertext: Ciphertext
    path: Path


@record
class EncapsulationList(ProtocolMessage):
    """All Encapsulations frames, and the recipient's slots."""

    KIND = 7
    headers: Listing
    slots: Annotated[Mapping[int, bytes], Map(U16, Encoded(EncapsulationSlot), MAX_SITES)]


@record
class Shares(ProtocolMessage):
    """What a dealer signs: hashes of its vaults and key commitments, by round, and the root over its slots."""

    KIND = 8
    vault_hashes: Hashes
    vault_commitments: Hashes
    channel_confirmation: Hash
    root: Hash


@record
class ShareSlot(Record):
    """A dealer's data for one holder.

    `sealed` holds the shares of the dealer's self-mask seeds and vault keys; `edges` commit to the pair seeds of dealer
    and holder, one per round; `leaves` are the hashes of the shares: for each round that of the seed, then that of the
    vault key. The dealer's own slot has neither `sealed` nor `edges`.
    """

    sealed: Annotated[bytes, Blob(MAX_ROUNDS * 2 * SHARE_BYTES + SECRET_BYTES + TAG_BYTES)]
    edges: Hashes
    leaves: Annotated[tuple[bytes, ...], Seq(Fixed(HASH_BYTES), 2 * MAX_ROUNDS)]

    @staticmethod
    def counts(slot: bytes) -> tuple[int, int]:
        """Return the numbers of edges and leaves in an encoded slot; each count follows `sealed` or the edges."""
        (sealed,) = _COUNT.unpack_from(slot)
        (edges,) = _COUNT.unpack_from(slot, at := _COUNT.size + sealed)
        (leaves,) = _COUNT.unpack_from(slot, at + _COUNT.size + HASH_BYTES * edges)
        return edges, leaves

    @staticmethod
    def edge(slot: bytes, position: int) -> bytes:
        """Return one of the edges of an encoded slot."""
        (sealed,) = _COUNT.unpack_from(slot)
        at = 2 * _COUNT.size + sealed + HASH_BYTES * position
        return slot[at : at + HASH_BYTES]


@record
class SharePackage(Record):
    """Payload of Shares: a vault per round, and a slot for each member of the cohort."""

    vaults: Annotated[tuple[bytes, ...], Seq(Blob(MAX_FRAME_BYTES), MAX_ROUNDS)]
    slots: Annotated[Mapping[int, bytes], Map(U16, Encoded(ShareSlot), MAX_SITES)]


@record
class HeldLeaves(Record):
    """What the coordinator keeps to check a holder's answers: the leaves of its slots, by dealer, concatenated."""

    dealers: Annotated[Mapping[int, bytes], Map(U16, Blob(2 * MAX_ROUNDS * HASH_BYTES), MAX_SITES)]


@record
class ProvenShareSlot(Record):
    """A slot with the path to its dealer's signed root."""

    slot: Annotated[bytes, Encoded(ShareSlot)]
    path: Path


@record
class ShareList(ProtocolMessage):
    """All Shares frames, and the recipient's slots."""

    KIND = 9
    headers: Listing
    slots: Annotated[Mapping[int, bytes], Map(U16, Encoded(ProvenShareSlot), MAX_SITES)]


@record
class Receipt(ProtocolMessage):
    """Whose shares a site accepted, and whose it refused by which check (the digits of its ID)."""

    KIND = 10
    accepted: Indices
    refused: Annotated[Mapping[int, int], Map(U16, U16, MAX_SITES)]


@record
class Ready(ProtocolMessage):
    """The epoch's members are the authors of these receipts, which all accept each other."""

    KIND = 11
    TO_EVERYONE = True
    receipts: Listing


@record
class Open(ProtocolMessage):
    """A round: the exact query, the form of the answer, and who is asked. The salt hides the query in its hash."""

    KIND = 16
    SEALED = True
    salt: Hash
    query: Annotated[bytes, Blob(MAX_QUERY_BYTES)]
    schema: Schema
    deadline: Annotated[int, U64]
    roster: Indices


@record
class Decline(ProtocolMessage):
    """A site does not contribute to this round."""

    KIND = 17
    SEALED = True
    reason: Annotated[str, Text(200)]


@record
class Upload(ProtocolMessage):
    """Signed digest of a masked vector; the vector itself is the payload, sealed to the coordinator in chunks."""

    KIND = 18
    context: Hash
    root: Hash


@record
class Survivors(ProtocolMessage):
    """The uploads included in the sum."""

    KIND = 19
    TO_EVERYONE = True
    uploads: Listing


@record
class Consistency(ProtocolMessage):
    """A site will unmask this set of uploads and no other."""

    KIND = 20
    statement: Hash


@record
class Quorum(ProtocolMessage):
    """Signatures of enough sites on the same statement."""

    KIND = 21
    TO_EVERYONE = True
    signatures: Frames


@record
class Unmask(ProtocolMessage):
    """One share for each site asked: of the self-mask seed if it is in the sum, otherwise of the vault key."""

    KIND = 22
    SEALED = True
    shares: Annotated[Mapping[int, bytes], Map(U16, Fixed(SHARE_BYTES), MAX_SITES)]


@record
class Result(ProtocolMessage):
    """The sum; its elements and lanes are the payload, sealed in chunks under `key`, the same for all sites."""

    KIND = 23
    SEALED = True
    statement: Hash
    root: Hash
    key: Annotated[bytes, Fixed(32)]


@record
class SealedShares(ProtocolMessage):
    """The content of Unmask for the sites only: shares in the roster's order, sealed to all members."""

    KIND = 24
    statement: Hash
    sealed: Annotated[bytes, Blob(MAX_SITES * SHARE_BYTES + TAG_BYTES)]


@record
class Opening(ProtocolMessage):
    """A sum's ciphertexts as payload, sealed in chunks under `key`; shares, and the vaults of lost sites."""

    KIND = 25
    SEALED = True
    statement: Hash
    root: Hash
    key: Annotated[bytes, Fixed(32)]
    answers: Frames
    vaults: Annotated[Mapping[int, bytes], Map(U16, Blob(MAX_FRAME_BYTES), MAX_SITES)]


@record
class Opened(ProtocolMessage):
    """The sum as opened by a site, for a coordinator that may know it; its elements are the payload, as in Result."""

    KIND = 26
    SEALED = True
    statement: Hash
    root: Hash
    key: Annotated[bytes, Fixed(32)]


MESSAGES: dict[int, type[ProtocolMessage]] = {
    kind.KIND: kind
    for kind in (
        Manifest,
        Join,
        Cohort,
        Prekeys,
        PrekeyList,
        Encapsulations,
        EncapsulationList,
        Shares,
        ShareList,
        Receipt,
        Ready,
        Open,
        Decline,
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
}


def last_kinds(manifest: Manifest) -> tuple[type[Unmask | Opened], type[Result | Opening]]:
    """Return the kinds sealed last in a round: from a site to the coordinator, and from there to the sites."""
    return (Opened, Opening) if manifest.is_homomorphic else (Unmask, Result)
