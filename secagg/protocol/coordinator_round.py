"""The coordinator's side of a round: it adds masked vectors, asks for the shares of one set, and removes the masks.

Spec: 02-protocol §6. Vectors do not enter the state: each verified upload is handed out once, to be added to a total in
O(d) memory, and `AwaitTotal` names the masks to remove from it. These masks are a plain list, so that their removal can
be split over slices, threads and machines.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Annotated

from secagg import shamir
from secagg.codec import U16, Blob, Fixed, Hash, Map, Nested, Record, Round, Seq, Text, record
from secagg.envelope import COORDINATOR, EVERYONE, Frame
from secagg.errors import FaultyParticipantError, FaultyRelayError, NotEnoughParticipantsError, ParameterError
from secagg.graph import Graph
from secagg.he.parameters import SUMS
from secagg.he.slots import SlotLayout
from secagg.identity import MAX_SITES, InvalidSignatureError
from secagg.keys import UnsealError, unseal
from secagg.masks import Mask
from secagg.messages import (
    HASH_BYTES,
    SECRET_BYTES,
    SHARE_BYTES,
    Consistency,
    Decline,
    Hashes,
    Indices,
    Manifest,
    Open,
    ProtocolMessage,
    Quorum,
    Result,
    ShareSlot,
    Survivors,
    Unmask,
    Upload,
    last_kinds,
)
from secagg.params import LossRule, Profile, Schema
from secagg.protocol import derivations as d
from secagg.protocol.encrypted_vector import EncryptedVector, open_ciphertexts
from secagg.protocol.listing import Shown
from secagg.protocol.ring_vector import RingVector, VectorError, open_vector, seal_vector
from secagg.protocol.step import (
    Abandon,
    Add,
    Ask,
    Close,
    Learned,
    Listening,
    Publish,
    Received,
    Send,
    Step,
    StepInputs,
    blame_for,
    body_of,
    sealed_body_of,
    signed,
)
from secagg.quantize import dequantize

Secrets = Annotated[Mapping[int, bytes], Map(U16, Fixed(32), MAX_SITES)]
Frames = Annotated[Mapping[int, Frame], Map(U16, Nested(Frame), MAX_SITES)]


@record
class Dealer(Record):
    """A site's commitments, one round after another."""

    self_commitments: Hashes
    vault_hashes: Hashes
    vault_commitments: Hashes


@record
class Prepared(Record):
    """The epoch is ready for round `next_round`; `survivors` are the sites that may still be asked to contribute."""

    manifest: Manifest
    epoch: Hash
    transcript: Hash
    graph: Graph
    dealers: Annotated[Mapping[int, Dealer], Map(U16, Nested(Dealer), MAX_SITES)]
    channel_chains: Secrets
    next_round: Round
    survivors: Indices


@record
class RoundKeys(Record):
    """The channel's keys for the messages of one round with one site."""

    decline: Hash
    upload: Hash
    answer: Hash
    result: Hash


@record
class OpenRound(Record):
    """The round that is open."""

    round: Round
    context: Hash
    schema: Schema
    roster: Indices
    keys: Annotated[Mapping[int, RoundKeys], Map(U16, Nested(RoundKeys), MAX_SITES)]


@record
class CoordinatorInRound(Listening):
    """Base of the states in which a round is open; `idle` is the state to which the coordinator returns afterwards."""

    idle: Prepared
    current: OpenRound

    def admit(self, frame: Frame) -> None:
        """Check header and signature as in the setup, and that the frame belongs to this round."""
        admit(self.idle.manifest, self.idle.epoch, self.idle.transcript, frame)
        if frame.round != self.current.round:
            raise FaultyRelayError(
                "V-0201", f"the frame belongs to round {frame.round}, this is round {self.current.round}"
            )


@record
class AwaitUploads(CoordinatorInRound):
    """The round was opened."""

    uploads: Frames
    declined: Annotated[Mapping[int, str], Map(U16, Text(200), MAX_SITES)]


@record
class AwaitSignatures(CoordinatorInRound):
    """The set of survivors was proposed (malicious profile)."""

    survivors: Indices
    statement: Hash
    signatures: Frames


@record
class AwaitAnswers(CoordinatorInRound):
    """The survivors were asked for shares. An answer holds one share for each site in the roster, in its order."""

    survivors: Indices
    statement: Hash
    frames: Frames
    answers: Annotated[Mapping[int, bytes], Map(U16, Blob(MAX_SITES * SHARE_BYTES), MAX_SITES)]


@record
class AwaitTotal(CoordinatorInRound):
    """All masks left in the total are known and must be removed from it."""

    survivors: Indices
    statement: Hash
    masks: Annotated[tuple[Mask, ...], Seq(Nested(Mask), MAX_SITES * MAX_SITES)]


@record
class AwaitSealedShares(CoordinatorInRound):
    """The survivors were asked for shares, which they seal for each other (homomorphic epoch)."""

    survivors: Indices
    statement: Hash
    frames: Frames


@record
class AwaitOpened(CoordinatorInRound):
    """The survivors have everything needed to open the sum; `roots` are the digests of the sums they publish."""

    survivors: Indices
    statement: Hash
    roots: Annotated[Mapping[int, bytes], Map(U16, Fixed(32), MAX_SITES)]


def admit(manifest: Manifest, epoch: bytes, transcript: bytes, frame: Frame) -> None:
    """Check that a site signed this frame for the coordinator, epoch and transcript.

    Raises:
        FaultyRelayError: V-0201 the frame belongs elsewhere, V-0202 the signature is not the sender's.
        FaultyParticipantError: V-0203 the frame was signed for another transcript.
    """
    if not 1 <= frame.sender <= len(manifest.sites) or frame.recipient != COORDINATOR or frame.epoch != epoch:
        raise FaultyRelayError("V-0201", "the frame is not from a site of this epoch to the coordinator")
    try:
        frame.verify(manifest.sites[frame.sender - 1])
    except InvalidSignatureError:
        raise FaultyRelayError("V-0202", f"the frame is not signed by site {frame.sender}") from None
    if frame.transcript != transcript:
        raise FaultyParticipantError(
            "V-0203", "the site's transcript differs from the coordinator's", party=frame.sender
        )


# Ask -> Open -------------------------------------------------------------------------------------------------------


def ask(state: Prepared, event: Ask, inputs: StepInputs) -> Step:
    """Open the next round for a roster of remaining sites.

    Raises:
        ParameterError, HeadroomError: the schema is not valid for this many sites, or exceeds the manifest's limits.
        NotEnoughParticipantsError: there are fewer sites than the manifest's minimum of survivors, or no round is left.
    """
    manifest, round_ = state.manifest, state.next_round
    roster = event.roster or state.survivors
    if round_ >= manifest.first_round + manifest.rounds:
        raise NotEnoughParticipantsError(
            f"all {manifest.rounds} rounds of this epoch are used up; prepare the next epoch"
        )
    if not set(roster) <= set(state.survivors):
        raise ParameterError("the roster names a site that is not a member or was lost in this run")
    if len(roster) < manifest.survivors:
        raise NotEnoughParticipantsError(f"{len(roster)} sites are left, below the minimum of {manifest.survivors}")
    _check_loss(state, roster)
    if manifest.is_sparse and event.schema.mac_lanes:
        raise ParameterError("lanes are impossible on a sparse graph, where the sites share no key")
    if event.schema.length > manifest.max_lanes or event.schema.ring_bits > manifest.max_ring_bits:
        raise ParameterError("the vector exceeds the manifest's limits")
    if manifest.profile is Profile.MALICIOUS and not manifest.is_sparse and not event.schema.mac_lanes:
        raise ParameterError("the schema has no lanes to authenticate the sum, which the malicious profile requires")
    event.schema.check(len(roster))
    if manifest.is_homomorphic:
        SlotLayout(event.schema, SUMS).check(len(roster))
    message = Open(
        salt=d.draw(inputs.rand, "salt"),
        query=event.query,
        schema=event.schema,
        deadline=event.deadline,
        roster=tuple(sorted(roster)),
    )
    chains = {site: state.channel_chains[site] for site in message.roster}
    answer, result = last_kinds(manifest)
    keys = {
        site: RoundKeys(
            decline=d.channel_key(chain, round_, Decline.KIND, state.epoch),
            upload=d.channel_key(chain, round_, Upload.KIND, state.epoch),
            answer=d.channel_key(chain, round_, answer.KIND, state.epoch),
            result=d.channel_key(chain, round_, result.KIND, state.epoch),
        )
        for site, chain in chains.items()
    }
    idle = replace(
        state,
        next_round=round_ + 1,
        channel_chains={s: d.next_channel_chain(c, round_, state.epoch) for s, c in state.channel_chains.items()},
    )
    context = d.context_hash(state.epoch, state.transcript, round_, message.encode())
    current = OpenRound(round=round_, context=context, schema=message.schema, roster=message.roster, keys=keys)
    following = AwaitUploads(idle=idle, current=current, uploads={}, declined={})
    sends = (
        send(following, message, inputs, site, key=d.channel_key(chain, round_, Open.KIND, state.epoch))
        for site, chain in chains.items()
    )
    return Step(following, tuple(sends))


# Upload, Decline -> Survivors --------------------------------------------------------------------------------------


def on_upload(state: AwaitUploads, received: Received, _inputs: StepInputs) -> Step:
    """Open and check a masked vector, and hand it out to be added to the total."""
    frame, current = received.frame, state.current
    site, blame = frame.sender, blame_for(frame.sender)
    if is_repeated(frame, state.uploads, current.roster):
        return Step(state)
    if site in state.declined:
        raise blame("V-0702", "the site contributed to a round after declining it")
    message = body_of(Upload, frame, blame)
    if message.context != current.context:
        raise blame("V-0703", "the site masked its vector for another query, roster or schema")
    vector = open_upload(state, frame, received.payload)
    return Step(replace(state, uploads=with_frame(state.uploads, frame)), (Add(site, vector),))


def open_upload(state: CoordinatorInRound, frame: Frame, payload: bytes | None) -> RingVector | EncryptedVector:
    """Return the masked vector of an upload to the open round, as often as needed; raises V-0704.

    After a crash, the vectors already added are added again from these.
    """
    current, blame = state.current, blame_for(frame.sender)
    root = body_of(Upload, frame, blame).root
    bound = d.vector_bound(state.idle.epoch, Upload.KIND, frame.sender, current.round, current.context)
    open_payload = open_ciphertexts if state.idle.manifest.is_homomorphic else open_vector
    try:
        return open_payload(payload or b"", current.schema, current.keys[frame.sender].upload, bound, root)
    except VectorError as error:
        raise blame("V-0704", str(error)) from None


def on_decline(state: AwaitUploads, received: Received, _inputs: StepInputs) -> Step:
    """Record that a site declines to contribute to this round."""
    frame = received.frame
    site, blame = frame.sender, blame_for(frame.sender)
    if site not in state.current.roster:
        raise blame("V-0701", "the site was not asked in this round")
    message = sealed_body_of(Decline, frame, state.current.keys[site].decline, blame)
    if site in state.uploads:
        raise blame("V-0702", "the site declined a round after contributing to it")
    if state.declined.get(site, message.reason) != message.reason:
        raise blame("V-0702", "the site declined twice with different reasons")
    return Step(replace(state, declined={**state.declined, site: message.reason}))


def close_uploads(state: AwaitUploads, _event: Close, inputs: StepInputs) -> Step:
    """Propose the sites whose uploads were added as the survivors of this round."""
    manifest, current = state.idle.manifest, state.current
    if len(state.uploads) < max(manifest.survivors, manifest.threshold):
        raise NotEnoughParticipantsError(f"{len(state.uploads)} sites uploaded; {manifest.survivors} are needed")
    _check_loss(state.idle, state.uploads)
    survivors, shown = tuple(state.uploads), Shown(state.uploads)
    statement = d.survivors_statement(state.idle.epoch, current.round, current.context, survivors, shown.root)
    idle = replace(state.idle, survivors=survivors)
    if manifest.is_shared(Survivors):
        sends = [send(state, Survivors(uploads=shown.whole), inputs)]
    else:
        graph = state.idle.graph
        sends = [send(state, Survivors(uploads=shown.to(site, graph)), inputs, site) for site in survivors]
    if not manifest.signs_survivors:
        return Step(_asked(idle, current, survivors, statement), tuple(sends))
    following = AwaitSignatures(idle=idle, current=current, survivors=survivors, statement=statement, signatures={})
    return Step(following, tuple(sends))


# Consistency -> Quorum ---------------------------------------------------------------------------------------------


def on_consistency(state: AwaitSignatures, received: Received, _inputs: StepInputs) -> Step:
    """Record a survivor's signature on the proposed set."""
    frame = received.frame
    blame = blame_for(frame.sender)
    if is_repeated(frame, state.signatures, state.survivors):
        return Step(state)
    if body_of(Consistency, frame, blame).statement != state.statement:
        raise blame("V-0705", "the site signed a different set of survivors")
    return Step(replace(state, signatures=with_frame(state.signatures, frame)))


def close_signatures(state: AwaitSignatures, _event: Close, inputs: StepInputs) -> Step:
    """Show the signatures to the survivors, who answer if there are enough."""
    if len(state.signatures) < state.idle.manifest.threshold:
        raise NotEnoughParticipantsError(
            f"{len(state.signatures)} sites signed the survivors; {state.idle.manifest.threshold} are needed"
        )
    following = _asked(state.idle, state.current, state.survivors, state.statement)
    if state.idle.manifest.is_shared(Quorum):
        return Step(following, (send(state, Quorum(signatures=tuple(state.signatures.values())), inputs),))
    sends = []
    for site in state.survivors:
        near = state.idle.graph.seen_by(site, state.signatures)
        sends.append(send(state, Quorum(signatures=tuple(state.signatures[s] for s in near)), inputs, site))
    return Step(following, tuple(sends))


def _asked(
    idle: Prepared, current: OpenRound, survivors: tuple[int, ...], statement: bytes
) -> AwaitAnswers | AwaitSealedShares:
    if idle.manifest.is_homomorphic:
        return AwaitSealedShares(idle=idle, current=current, survivors=survivors, statement=statement, frames={})
    return AwaitAnswers(idle=idle, current=current, survivors=survivors, statement=statement, frames={}, answers={})


# Unmask -> the masks -----------------------------------------------------------------------------------------------


def on_unmask(state: AwaitAnswers, received: Received, inputs: StepInputs) -> Step:
    """Check every share in an answer against the hash that its dealer signed."""
    frame, current = received.frame, state.current
    holder, blame = frame.sender, blame_for(frame.sender)
    if is_repeated(frame, state.frames, state.survivors):
        return Step(state)
    message = sealed_body_of(Unmask, frame, current.keys[holder].answer, blame)
    if list(message.shares) != state.idle.graph.holders(holder, set(current.roster)):
        raise blame("V-0706", "the answer does not contain one share for each site that was asked")
    survivors, leaves = set(state.survivors), inputs.leaves[holder].dealers
    first = 2 * place_of(state.idle, current.round) * HASH_BYTES
    for dealer, share in message.shares.items():
        kind = d.SEED_SHARE if dealer in survivors else d.VAULT_SHARE
        at = first + kind * HASH_BYTES
        leaf = d.share_leaf(state.idle.epoch, dealer, holder, current.round, kind, share)
        if leaf != leaves[dealer][at : at + HASH_BYTES]:
            raise blame("V-0707", f"the share of site {dealer}'s secret is not the one that was dealt")
    answers = {**state.answers, holder: b"".join(message.shares.values())}
    return Step(replace(state, frames=with_frame(state.frames, frame), answers=answers))


def close_answers(state: AwaitAnswers, _event: Close, inputs: StepInputs) -> Step:
    """Rebuild the survivors' seeds and the lost sites' vault keys, and derive every mask left in the total."""
    current, eh = state.current, state.idle.epoch
    survivors, removed = set(state.survivors), []
    for site, secret in _secrets(state).items():
        dealer, position = state.idle.dealers[site], place_of(state.idle, current.round)
        if site in survivors:
            if d.self_commitment(eh, site, current.round, secret) != dealer.self_commitments[position]:
                raise blame_for(site)("V-0708", "the shares that it dealt do not yield the seed that it committed to")
            removed.append(d.self_mask(secret, site, round_=current.round, context=current.context, eh=eh))
        else:
            if d.vault_commitment(eh, site, current.round, secret) != dealer.vault_commitments[position]:
                raise blame_for(site)(
                    "V-0708", "the shares that it dealt do not yield the vault key that it committed to"
                )
            removed.extend(_left_masks(state, site, secret, inputs))
    following = AwaitTotal(
        idle=state.idle, current=current, survivors=state.survivors, statement=state.statement, masks=tuple(removed)
    )
    return Step(following)


def _left_masks(state: AwaitAnswers, lost: int, secret: bytes, inputs: StepInputs) -> list[Mask]:
    """Open a lost site's vault: its pair seeds give the masks that the survivors added for it."""
    current, eh, blame = state.current, state.idle.epoch, blame_for(lost)
    position, package = place_of(state.idle, current.round), inputs.shares[lost]
    vault = package.vaults[position]
    try:
        key = d.vault_key(secret, lost, current.round, eh)
        content = unseal(key, vault, d.vault_bound(eh, lost, current.round))
    except UnsealError:
        raise blame("V-0709", "its vault does not open under the key that it committed to") from None
    ends = tuple(state.idle.graph.ends(lost, range(1, len(state.idle.manifest.sites) + 1)))
    if len(content) != SECRET_BYTES * len(ends):
        raise blame("V-0709", "its vault does not contain one seed per site")
    left, survivors = [], set(state.survivors)
    for i, site in enumerate(ends):
        if site not in survivors:
            continue
        seed = content[i * SECRET_BYTES : (i + 1) * SECRET_BYTES]
        edge = ShareSlot.edge(package.slots[site], position)
        if d.edge_commitment(eh, current.round, lost, site, seed) != edge:
            raise blame("V-0709", f"its vault does not contain the seed that it shares with site {site}")
        left.append(d.pair_mask(seed, site, lost, round_=current.round, context=current.context, eh=eh))
    return left


def _secrets(state: AwaitAnswers) -> dict[int, bytes]:
    """Return each dealer's secret; dealers with the same holders (on the complete graph, all) are processed together.

    Raises:
        NotEnoughParticipantsError: fewer holders of a dealer's shares answered than the threshold requires.
        FaultyParticipantError: V-0708 a dealer's shares do not lie on one polynomial.
    """
    graph, roster, threshold = state.idle.graph, set(state.current.roster), state.idle.manifest.threshold
    shares: dict[int, dict[int, bytes]] = {dealer: {} for dealer in state.current.roster}
    for holder, answer in state.answers.items():
        for i, dealer in enumerate(graph.holders(holder, roster)):
            shares[dealer][holder] = answer[i * SHARE_BYTES : (i + 1) * SHARE_BYTES]
    alike: dict[tuple[int, ...], list[int]] = {}
    for dealer, held in shares.items():
        if len(held) < threshold:
            raise NotEnoughParticipantsError(f"{len(held)} holders answered for site {dealer}; {threshold} are needed")
        alike.setdefault(tuple(held), []).append(dealer)
    secrets: dict[int, bytes] = {}
    for holders, dealers in alike.items():
        try:
            joined = shamir.combine({h: b"".join(shares[v][h] for v in dealers) for h in holders}, threshold)
        except ParameterError:  # each share matches its dealer's hash, so a dealer's shares are inconsistent
            raise blame_for(_inconsistent(shares, dealers, threshold))(
                "V-0708", "the shares that it dealt do not lie on one polynomial"
            ) from None
        secrets |= {v: joined[i * SECRET_BYTES : (i + 1) * SECRET_BYTES] for i, v in enumerate(dealers)}
    return secrets


def _inconsistent(shares: Mapping[int, Mapping[int, bytes]], dealers: Iterable[int], threshold: int) -> int:
    for dealer in dealers:
        try:
            shamir.combine(shares[dealer], threshold)
        except ParameterError:
            return dealer
    raise AssertionError("the shares of all dealers are consistent one by one, but not together")


# The total -> Result -----------------------------------------------------------------------------------------------


def publish(state: AwaitTotal, event: Publish, inputs: StepInputs) -> Step:
    """Send the sum to the survivors, who check it against their lanes.

    Raises:
        ParameterError: the sum does not have the round's schema.
    """
    current, key = state.current, d.draw(inputs.rand, "result-key")
    if not isinstance(event.total, RingVector) or event.total.schema != current.schema:
        raise ParameterError("the total does not have the round's schema")
    bound = d.vector_bound(state.idle.epoch, Result.KIND, COORDINATOR, current.round, current.context)
    sealed = seal_vector(event.total, key, bound)
    message = Result(statement=state.statement, root=sealed.root, key=key)
    sends = (
        send(state, message, inputs, site, key=current.keys[site].result, payload=sealed.chunks)
        for site in state.survivors
    )
    reals = dequantize(event.total.values(), current.schema, d.rotation_key(current.context))
    return Step(state.idle, (*sends, Learned(current.round, state.survivors, reals, sealed.root)))


def abandon(state: CoordinatorInRound, _event: Abandon, _inputs: StepInputs) -> Step:
    """Abandon the round; its number is never used again, and any upload makes it count as released."""
    return Step(state.idle)


# Pieces ------------------------------------------------------------------------------------------------------------


def is_repeated(frame: Frame, earlier: Mapping[int, Frame], expected: tuple[int, ...]) -> bool:
    if frame.sender not in expected:
        raise FaultyParticipantError("V-0701", "the site was not asked", party=frame.sender)
    if (known := earlier.get(frame.sender)) is not None and known != frame:
        raise FaultyParticipantError("V-0702", "the site signed two different frames for one step", party=frame.sender)
    return known is not None


def with_frame(frames: Mapping[int, Frame], frame: Frame) -> dict[int, Frame]:
    return dict(sorted({**frames, frame.sender: frame}.items()))


def _check_loss(idle: Prepared, left: Collection[int]) -> None:
    """Stop if the manifest's loss rule forbids fewer sites than last time: the sites would refuse anyway (V-0511)."""
    if idle.manifest.loss_rule is LossRule.ABORT and set(left) != set(idle.survivors):
        raise NotEnoughParticipantsError("a site was lost, which ends the run under the manifest's loss rule")


def place_of(idle: Prepared, round_: int) -> int:
    return round_ - idle.manifest.first_round


def send(
    state: CoordinatorInRound,
    message: ProtocolMessage,
    inputs: StepInputs,
    recipient: int = EVERYONE,
    *,
    key: bytes | None = None,
    payload: tuple[bytes, ...] = (),
) -> Send:
    frame = signed(
        inputs,
        message,
        epoch=state.idle.epoch,
        transcript=state.idle.transcript,
        sender=COORDINATOR,
        recipient=recipient,
        round_=state.current.round,
        key=key,
    )
    return Send(frame, payload, shared=bool(payload))
