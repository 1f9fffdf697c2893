"""The messages of protocol 1, in the order in which they are sent.

Spec: 01-wire §6, 02-protocol §5 and §6. A message is the body of a signed frame (`secagg.envelope`). Lists carry other
sites' frames whole, so that each recipient checks the authors' signatures itself. What does not fit into a frame, or is
different for each recipient, travels beside it as a payload that the body binds by a hash.

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
and the sites that are to publish what they opened send Opened.
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
    """A list of the sites' frames, of which the recipient is shown some: the siblings lead to the root over all."""

    senders: Indices
    frames: Frames
    siblings: Annotated[tuple[bytes, ...], Seq(Fixed(32), MAX_SITES)]


class Suite(IntEnum):
    """The algorithms of an epoch, with their parameters: the second one sums under homomorphic encryption."""

    X25519_MLKEM768_AES256 = 1
    X25519_MLKEM768_AES256_BFV = 2


class ProtocolMessage(Record):
    """Base of all message bodies.

    Attributes:
        KIND: stands in the frame's header.
        SEALED: the body is a ciphertext on the wire.
        TO_EVERYONE: the coordinator signs one frame for all sites; otherwise one for each. Never both in one epoch, so
            that a kind has one slot for a recipient: see `Manifest.is_shared`.
    """

    __slots__ = ()
    KIND: ClassVar[int]
    SEALED: ClassVar[bool] = False
    TO_EVERYONE: ClassVar[bool] = False


@record
class Manifest(ProtocolMessage):
    """The terms of an epoch; its hash is the epoch's name. Index i of a site is its place in `sites`, from 1."""

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
        """The coordinator adds ciphertexts, and the sites alone open the sum."""
        return self.suite is Suite.X25519_MLKEM768_AES256_BFV

    @property
    def most_holders(self) -> int:
        """So many sites at most hold a dealer's shares."""
        return self.degree or len(self.sites)

    @property
    def signs_survivors(self) -> bool:
        """The survivors are signed before they are unmasked; only semi-honest on the complete graph they are not."""
        return self.profile is Profile.MALICIOUS or self.is_sparse

    def is_private_for(self, sites: int) -> bool:
        """A sparse graph over so many of the sites bears the colluders, and losses down to the least survivors."""
        return is_private(
            sites,
            Parameters(self.degree, self.threshold),
            corrupt=min(sites, self.colluders),
            lost=sites - self.survivors,
            malicious=self.profile is Profile.MALICIOUS,
        )

    def is_shared(self, kind: type[ProtocolMessage]) -> bool:
        """Messages of this kind are one frame for everyone. On a sparse graph only the manifest is."""
        return kind.TO_EVERYONE and (kind is Manifest or not self.is_sparse)


@record
class Join(ProtocolMessage):
    """A site takes part in the epoch whose hash the frame names."""

    KIND = 2
    nonce_commitment: Hash


@record
class Cohort(ProtocolMessage):
    """Who joined. One hash stands for all nonce commitments: on a sparse graph nobody is shown another's."""

    KIND = 3
    TO_EVERYONE = True
    joins: Listing
    nonces: Hash


@record
class Prekeys(ProtocolMessage):
    """A site's keys for the epoch and commitments to its secrets; the nonce opens the commitment of its Join."""

    KIND = 4
    nonce: Hash
    curve: Annotated[bytes, Fixed(X25519_BYTES)]
    kem: Annotated[bytes, Fixed(KEM_PUBLIC_BYTES)]
    self_commitments: Hashes
    mac_commitment: Hash


@record
class PrekeyList(ProtocolMessage):
    """All prekeys, and the coordinator's encapsulation to the recipient; on a sparse graph all nonces as payload."""

    KIND = 5
    prekeys: Listing
    ciphertext: Ciphertext


@record
class Encapsulations(ProtocolMessage):
    """A site encapsulated to all of higher index; the root is over its slots, in the order of their recipients."""

    KIND = 6
    root: Hash


@record
class EncapsulationPackage(Record):
    """Payload of Encapsulations: one ciphertext for each recipient."""

    slots: Annotated[Mapping[int, bytes], Map(U16, Fixed(KEM_CIPHERTEXT_BYTES), MAX_SITES)]


@record
class EncapsulationSlot(Record):
    """What one sender encapsulated to the recipient of a list, with the path to the sender's signed root."""

    ciphertext: Ciphertext
    path: Path


@record
class EncapsulationList(ProtocolMessage):
    """All Encapsulations frames, and those slots that are the recipient's."""

    KIND = 7
    headers: Listing
    slots: Annotated[Mapping[int, bytes], Map(U16, Encoded(EncapsulationSlot), MAX_SITES)]


@record
class Shares(ProtocolMessage):
    """What a dealer signs: its vaults' hashes and key commitments, by round, and the root over its slots."""

    KIND = 8
    vault_hashes: Hashes
    vault_commitments: Hashes
    channel_confirmation: Hash
    root: Hash


@record
class ShareSlot(Record):
    """What a dealer has for one holder.

    `sealed` holds the shares of the dealer's self-mask seeds and vault keys; `edges` commit to the pair seeds of dealer
    and holder, one a round; `leaves` are the hashes of the shares, for each round that of the seed, then that of the
    vault key. The dealer's own slot has neither `sealed` nor `edges`.
    """

    sealed: Annotated[bytes, Blob(MAX_ROUNDS * 2 * SHARE_BYTES + SECRET_BYTES + TAG_BYTES)]
    edges: Hashes
    leaves: Annotated[tuple[bytes, ...], Seq(Fixed(HASH_BYTES), 2 * MAX_ROUNDS)]

    @staticmethod
    def counts(slot: bytes) -> tuple[int, int]:
        """Return how many edges and leaves an encoded slot has: their counts stand behind `sealed` and behind edges."""
        (sealed,) = _COUNT.unpack_from(slot)
        (edges,) = _COUNT.unpack_from(slot, at := _COUNT.size + sealed)
        (leaves,) = _COUNT.unpack_from(slot, at + _COUNT.size + HASH_BYTES * edges)
        return edges, leaves

    @staticmethod
    def edge(slot: bytes, position: int) -> bytes:
        """Return one of the edges of an encoded slot, which has so many."""
        (sealed,) = _COUNT.unpack_from(slot)
        at = 2 * _COUNT.size + sealed + HASH_BYTES * position
        return slot[at : at + HASH_BYTES]


@record
class SharePackage(Record):
    """Payload of Shares: a vault for each round, and a slot for each member of the cohort."""

    vaults: Annotated[tuple[bytes, ...], Seq(Blob(MAX_FRAME_BYTES), MAX_ROUNDS)]
    slots: Annotated[Mapping[int, bytes], Map(U16, Encoded(ShareSlot), MAX_SITES)]


@record
class HeldLeaves(Record):
    """What the coordinator keeps for a holder's answers: the leaves of its slots, by dealer, one after the other."""

    dealers: Annotated[Mapping[int, bytes], Map(U16, Blob(2 * MAX_ROUNDS * HASH_BYTES), MAX_SITES)]


@record
class ProvenShareSlot(Record):
    """A slot with the path to its dealer's signed root."""

    slot: Annotated[bytes, Encoded(ShareSlot)]
    path: Path


@record
class ShareList(ProtocolMessage):
    """All Shares frames, and those slots that are the recipient's."""

    KIND = 9
    headers: Listing
    slots: Annotated[Mapping[int, bytes], Map(U16, Encoded(ProvenShareSlot), MAX_SITES)]


@record
class Receipt(ProtocolMessage):
    """Whose shares a site accepted, and whom it refused for which check (the digits of its ID)."""

    KIND = 10
    accepted: Indices
    refused: Annotated[Mapping[int, int], Map(U16, U16, MAX_SITES)]


@record
class Ready(ProtocolMessage):
    """The epoch's members are the authors of these receipts, in which all of them accept each other."""

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
    """Signed digest of a masked vector; the vector itself is the payload, sealed in chunks to the coordinator."""

    KIND = 18
    context: Hash
    root: Hash


@record
class Survivors(ProtocolMessage):
    """The uploads that are in the sum."""

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
    """Enough sites signed the same statement."""

    KIND = 21
    TO_EVERYONE = True
    signatures: Frames


@record
class Unmask(ProtocolMessage):
    """For each site asked, one share: of the self-mask seed if it is in the sum, of the vault key if not."""

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
    """What Unmask holds, for the sites alone: shares in the roster's order, sealed to all members."""

    KIND = 24
    statement: Hash
    sealed: Annotated[bytes, Blob(MAX_SITES * SHARE_BYTES + TAG_BYTES)]


@record
class Opening(ProtocolMessage):
    """The ciphertexts of a sum as the payload, sealed in chunks under `key`; shares, and the vaults of the lost."""

    KIND = 25
    SEALED = True
    statement: Hash
    root: Hash
    key: Annotated[bytes, Fixed(32)]
    answers: Frames
    vaults: Annotated[Mapping[int, bytes], Map(U16, Blob(MAX_FRAME_BYTES), MAX_SITES)]


@record
class Opened(ProtocolMessage):
    """The sum as a site opened it, for a coordinator that may know it; its elements are the payload, as in Result."""

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
    """Return what is sealed last in a round, from a site to the coordinator and from there to the sites."""
    return (Opened, Opening) if manifest.is_homomorphic else (Unmask, Result)
