"""A site's side of a round: one masked vector, one signed set of survivors, one answer.

Spec: 02-protocol §6. Only `AwaitQuorum` (or `AwaitConfirmation`, semi-honest) can produce an answer, and neither its
successor nor any other state can: a site reveals only one share for each other site, once. Every state within a round
also accepts the next Open, which closes the round for good; rounds are strictly ascending.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from secagg import mac
from secagg.codec import U16, U32, U64, Blob, Fixed, Flag, Hash, Map, Nested, Record, Round, Seq, Text, record
from secagg.envelope import COORDINATOR, EVERYONE, Frame
from secagg.errors import FaultyCoordinatorError, FaultyRelayError, HeadroomError, ParameterError
from secagg.graph import Graph
from secagg.he.parameters import SUMS
from secagg.he.slots import SlotLayout
from secagg.identity import MAX_SITES, InvalidSignatureError
from secagg.keys import seal
from secagg.masks import Mask
from secagg.messages import (
    MESSAGES,
    SECRET_BYTES,
    SHARE_BYTES,
    Consistency,
    Decline,
    Indices,
    Manifest,
    Open,
    Opened,
    Quorum,
    Result,
    SealedShares,
    Survivors,
    Unmask,
    Upload,
    last_kinds,
)
from secagg.params import MAX_LANES, MAX_ROUNDS, LossRule, Profile, Schema
from secagg.protocol import derivations as d
from secagg.protocol.contribution import Authenticate, contribute
from secagg.protocol.encrypted_vector import GroupKeys, contribute_encrypted
from secagg.protocol.listing import forwarded, read_listing
from secagg.protocol.ring_vector import VectorError, open_vector
from secagg.protocol.step import (
    Confirm,
    Contribute,
    DeclineRound,
    Learned,
    Listening,
    Received,
    Send,
    Step,
    StepInputs,
    Tick,
    Withhold,
    body_of,
    sealed_body_of,
    signed,
)
from secagg.quantize import Coins, Reals, dequantize

Keys = Annotated[Mapping[int, bytes], Map(U16, Fixed(32), MAX_SITES)]
Row = Annotated[Mapping[int, bytes], Map(U16, Fixed(2 * SHARE_BYTES), MAX_SITES)]


@record
class EpochMembership(Record):
    """A site's place in an epoch."""

    manifest: Manifest
    epoch: Hash
    index: Annotated[int, U16]
    graph: Graph

    @property
    def sites(self) -> range:
        return range(1, len(self.manifest.sites) + 1)

    @property
    def rounds(self) -> range:
        return range(self.manifest.first_round, self.manifest.first_round + self.manifest.rounds)

    @property
    def least_members(self) -> int:
        return max(self.manifest.survivors, self.manifest.threshold + self.manifest.slack)


@record
class InEpoch(Listening):
    """Base of a site's states within an epoch."""

    membership: EpochMembership
    transcript: Hash

    def admit(self, frame: Frame) -> None:
        """Check that the coordinator signed this frame for this site, epoch and transcript.

        Raises:
            FaultyRelayError: V-0201 the frame belongs elsewhere, V-0202 the signature is not the coordinator's.
            FaultyCoordinatorError: V-0203 the frame was signed for another transcript.
        """
        recipient = EVERYONE if self.membership.manifest.is_shared(MESSAGES[frame.kind]) else self.membership.index
        if (frame.sender, frame.recipient) != (COORDINATOR, recipient):
            raise FaultyRelayError("V-0201", "the frame is not from the coordinator to this site")
        if frame.epoch != self.membership.epoch:
            raise FaultyRelayError("V-0201", "the frame belongs to another epoch")
        try:
            frame.verify(self.membership.manifest.coordinator)
        except InvalidSignatureError:
            raise FaultyRelayError("V-0202", "the frame is not signed by the coordinator") from None
        if frame.transcript != self.transcript:
            raise FaultyCoordinatorError("V-0203", "the coordinator's transcript differs from this site's")


@record
class Closed(Record):
    """The epoch is over for this site, and its secrets are gone."""

    epoch: Hash
    reason: Annotated[str, Text(200)]


@record
class AwaitOpen(InEpoch):
    """Ready for a round. The chains are at `next_round`; rows hold the shares for this and later rounds.

    `survivors` is the set that the next roster must be a subset of: the members, or the last set that this site signed.
    The group's chain exists only in a homomorphic epoch.
    """

    pair_chains: Keys
    self_chain: Hash
    channel_chain: Hash
    mac_key: Hash
    group_chain: Annotated[bytes, Blob(SECRET_BYTES)]
    next_round: Round
    survivors: Indices
    rows: Annotated[
        Mapping[int, Mapping[int, bytes]], Map(U32, Map(U16, Fixed(2 * SHARE_BYTES), MAX_SITES), MAX_ROUNDS)
    ]


@record
class RoundState(Record):
    """One round as this site sees it, with the keys for its remaining messages and its shares for the answer.

    In a homomorphic epoch these keys are for Opened and Opening, and the group's key opens what the sites seal for one
    another.
    """

    round: Round
    context: Hash
    schema: Schema
    roster: Indices
    deadline: Annotated[int, U64]
    answer_key: Hash
    result_key: Hash
    group_key: Annotated[bytes, Blob(SECRET_BYTES)]
    row: Row


@record
class ParticipantInRound(Listening):
    """Base of the states in which a round is open; `idle` is the state to which the site returns afterwards."""

    idle: AwaitOpen

    @property
    def membership(self) -> EpochMembership:
        return self.idle.membership

    def admit(self, frame: Frame) -> None:
        self.idle.admit(frame)


@record
class InOpenRound(ParticipantInRound):
    """Base of the in-round states that still hold the round's shares."""

    current: RoundState


@record
class AwaitVector(InOpenRound):
    """A round was opened; the site computes its vector, or declines."""

    open: Open
    masks: Annotated[tuple[Mask, ...], Seq(Nested(Mask), MAX_SITES)]
    upload_key: Hash
    decline_key: Hash


@record
class AwaitSurvivors(InOpenRound):
    """The masked vector was sent. The mask keys are erased."""

    upload: Frame
    clipped: Annotated[int, U64]


@record
class AwaitConfirmation(InOpenRound):
    """A set of survivors was proposed and is well-formed; the site's policy decides."""

    survivors: Indices
    statement: Hash


@record
class AwaitQuorum(InOpenRound):
    """The site signed the set of survivors (malicious profile)."""

    survivors: Indices
    statement: Hash
    publish: Annotated[bool, Flag()]


@record
class AwaitOpening(InOpenRound):
    """The site answered in a homomorphic epoch; its shares are erased, but the group's key is kept to open the sum."""

    survivors: Indices
    statement: Hash
    publish: Annotated[bool, Flag()]


@record
class AwaitRelease(InOpenRound):
    """The site opened the sum and checked it; the site's rules decide which entries it publishes.

    `total` holds the opened integers, little-endian int64. The group's key is erased.
    """

    survivors: Indices
    statement: Hash
    root: Hash
    total: Annotated[bytes, Blob(8 * MAX_LANES)]

    @property
    def values(self) -> NDArray[np.int64]:
        """The opened integers, (m,) int64."""
        return np.frombuffer(self.total, "<i8").astype(np.int64)

    @property
    def reals(self) -> Reals:
        """The opened sum, (m,) float64."""
        return dequantize(self.values, self.current.schema, d.rotation_key(self.current.context))


@record
class AwaitResult(ParticipantInRound):
    """The site answered. The round's shares and the answer's key are erased."""

    round: Round
    context: Hash
    schema: Schema
    deadline: Annotated[int, U64]
    survivors: Indices
    statement: Hash
    result_key: Hash


# Open -> Upload or Decline -----------------------------------------------------------------------------------------


def on_open(state: AwaitOpen | ParticipantInRound, received: Received, _inputs: StepInputs) -> Step:
    """Check a round's terms, derive its keys, and close every older round for good."""
    idle = state if isinstance(state, AwaitOpen) else state.idle
    membership, frame = idle.membership, received.frame
    round_ = frame.round
    if round_ < idle.next_round:
        raise FaultyRelayError("V-0501", f"round {round_} is over for this site; the next is {idle.next_round}")
    if round_ not in membership.rounds:
        raise FaultyCoordinatorError("V-0502", f"round {round_} is not part of this epoch")
    idle = _forward(idle, round_)
    opening_key = d.channel_key(idle.channel_chain, round_, Open.KIND, membership.epoch)
    message = sealed_body_of(Open, frame, opening_key, FaultyCoordinatorError)
    _check_open(idle, message)
    context = d.context_hash(membership.epoch, idle.transcript, round_, message.encode())
    answer, result = last_kinds(membership.manifest)
    current = RoundState(
        round=round_,
        context=context,
        schema=message.schema,
        roster=message.roster,
        deadline=message.deadline,
        answer_key=d.channel_key(idle.channel_chain, round_, answer.KIND, membership.epoch),
        result_key=d.channel_key(idle.channel_chain, round_, result.KIND, membership.epoch),
        group_key=d.group_key(idle.group_chain, round_, context, membership.epoch) if idle.group_chain else b"",
        row={site: idle.rows[round_][site] for site in membership.graph.holders(membership.index, set(message.roster))},
    )
    following = AwaitVector(
        idle=_forward(idle, round_ + 1),
        current=current,
        open=message,
        masks=_masks(idle, round_, context, message.roster),
        upload_key=d.channel_key(idle.channel_chain, round_, Upload.KIND, membership.epoch),
        decline_key=d.channel_key(idle.channel_chain, round_, Decline.KIND, membership.epoch),
    )
    return Step(following)


def _check_open(idle: AwaitOpen, message: Open) -> None:
    membership, schema, roster = idle.membership, message.schema, set(message.roster)
    if schema.length > membership.manifest.max_lanes or schema.ring_bits > membership.manifest.max_ring_bits:
        raise FaultyCoordinatorError("V-0504", "the vector exceeds the manifest's limits")
    if membership.manifest.profile is Profile.MALICIOUS and not membership.manifest.is_sparse and not schema.mac_lanes:
        raise FaultyCoordinatorError("V-0504", "the schema has no lanes to authenticate the sum")
    if membership.manifest.is_sparse and schema.mac_lanes:
        raise FaultyCoordinatorError("V-0515", "lanes are impossible on a sparse graph, where the sites share no key")
    try:
        schema.check(len(roster))
    except (ParameterError, HeadroomError) as error:
        raise FaultyCoordinatorError("V-0504", f"the schema is not valid: {error}") from None
    if membership.manifest.is_homomorphic:
        try:
            SlotLayout(schema, SUMS).check(len(roster))
        except (ParameterError, HeadroomError) as error:
            raise FaultyCoordinatorError("V-0516", f"the schema does not allow a homomorphic sum: {error}") from None
    if not roster <= set(idle.survivors):
        raise FaultyCoordinatorError("V-0505", "the roster names a site that is not a member or was lost in this run")
    if membership.index not in roster or len(roster) < membership.manifest.survivors:
        raise FaultyCoordinatorError("V-0505", "the roster omits this site, or is too small to be summed")


def _masks(idle: AwaitOpen, round_: int, context: bytes, roster: tuple[int, ...]) -> tuple[Mask, ...]:
    """Return this site's masks; a mask key exists only together with its round's context."""
    membership, eh = idle.membership, idle.membership.epoch
    own = d.self_seed(idle.self_chain, membership.index, round_, eh)
    pairs = (
        d.pair_mask(
            d.pair_seed(idle.pair_chains[site], round_, eh),
            membership.index,
            site,
            round_=round_,
            context=context,
            eh=eh,
        )
        for site in membership.graph.seen_by(membership.index, set(roster))
        if site != membership.index
    )
    return (d.self_mask(own, membership.index, round_=round_, context=context, eh=eh), *pairs)


def _forward(idle: AwaitOpen, round_: int) -> AwaitOpen:
    """Move all chains to a round and erase everything that belongs to earlier ones."""
    eh = idle.membership.epoch
    pair_chains, self_chain, channel_chain = dict(idle.pair_chains), idle.self_chain, idle.channel_chain
    group_chain = idle.group_chain
    for passed in range(idle.next_round, round_):
        pair_chains = {site: d.next_pair_chain(chain, passed, eh) for site, chain in pair_chains.items()}
        self_chain = d.next_self_chain(self_chain, passed, eh)
        channel_chain = d.next_channel_chain(channel_chain, passed, eh)
        group_chain = d.next_group_chain(group_chain, passed, eh) if group_chain else b""
    return replace(
        idle,
        pair_chains=pair_chains,
        self_chain=self_chain,
        channel_chain=channel_chain,
        group_chain=group_chain,
        next_round=round_,
        rows={r: row for r, row in idle.rows.items() if r >= round_},
    )


def on_contribute(state: AwaitVector, event: Contribute, inputs: StepInputs) -> Step:
    """Quantise, authenticate, mask, pack and seal the site's vector; the mask keys are erased with this step.

    Raises:
        ParameterError: wrong length, NaN or infinity, or values that the schema refuses. The state is unchanged.
    """
    membership, current, schema = state.membership, state.current, state.current.schema
    bound = d.vector_bound(membership.epoch, Upload.KIND, membership.index, current.round, current.context)
    coins = Coins(rotation=d.rotation_key(current.context), rounding=d.draw(inputs.rand, "rounding"))
    if membership.manifest.is_homomorphic:
        sealing = GroupKeys.of(current.group_key, schema.mac_lanes, membership.epoch)
        made = contribute_encrypted(
            event.vector, schema, state.masks, sealing, coins, upload_key=state.upload_key, associated=bound
        )
    else:
        made = contribute(
            event.vector,
            schema,
            state.masks,
            _lanes_of(state.idle, current.round, current.context, schema),
            coins,
            site=membership.index,
            upload_key=state.upload_key,
            associated=bound,
        )
    frame = frame_of(state, Upload(context=current.context, root=made.sealed.root), current.round, inputs)
    following = AwaitSurvivors(idle=state.idle, current=current, upload=frame, clipped=made.clipped)
    return Step(following, (Send(frame, made.sealed.chunks),))


def on_refuse(state: AwaitVector, event: DeclineRound, inputs: StepInputs) -> Step:
    """Decline the round; it is over for this site."""
    frame = frame_of(state, Decline(reason=event.reason), state.current.round, inputs, key=state.decline_key)
    return Step(state.idle, (Send(frame),))


# Survivors -> Consistency, Quorum -> Unmask ------------------------------------------------------------------------


def on_survivors(state: AwaitSurvivors, received: Received, _inputs: StepInputs) -> Step:
    """Check the proposed set of survivors; the site's policy then decides whether to sign it."""
    membership, current = state.membership, state.current
    check_round(received.frame, current.round)
    message = body_of(Survivors, received.frame, FaultyCoordinatorError)
    listed = read_listing(
        message.uploads,
        membership.manifest,
        site=membership.index,
        graph=membership.graph,
        kind=Upload,
        epoch=membership.epoch,
        transcript=state.idle.transcript,
        round_=current.round,
    )
    survivors = set(listed.senders)
    if not survivors <= set(current.roster):
        raise FaultyCoordinatorError("V-0508", "a survivor was not asked in this round")
    if listed.frames.get(membership.index) != state.upload:
        raise FaultyCoordinatorError("V-0509", "the survivors do not include the upload that this site sent")
    for site, frame in listed.frames.items():
        if body_of(Upload, frame, FaultyCoordinatorError).context != current.context:
            raise FaultyCoordinatorError("V-0507", f"site {site} was shown another query, roster or schema")
    if len(survivors) < membership.manifest.survivors:
        raise FaultyCoordinatorError(
            "V-0510", f"{len(survivors)} survivors, below the minimum of {membership.manifest.survivors}"
        )
    # Not compared with this round's roster: a site left out of a roster counts as lost as well.
    if membership.manifest.loss_rule is LossRule.ABORT and survivors != set(state.idle.survivors):
        raise FaultyCoordinatorError("V-0511", "a site was lost, which ends the run under the manifest's loss rule")
    statement = d.survivors_statement(membership.epoch, current.round, current.context, listed.senders, listed.root)
    following = AwaitConfirmation(idle=state.idle, current=current, survivors=listed.senders, statement=statement)
    return Step(following)


def on_confirm(state: AwaitConfirmation, event: Confirm, inputs: StepInputs) -> Step:
    """Sign the set of survivors, or answer immediately if the profile needs no signatures."""
    idle = replace(state.idle, survivors=state.survivors)
    following = AwaitQuorum(
        idle=idle, current=state.current, survivors=state.survivors, statement=state.statement, publish=event.publish
    )
    if not state.membership.manifest.signs_survivors:
        return _answer(following, inputs)
    frame = frame_of(state, Consistency(statement=state.statement), state.current.round, inputs)
    return Step(following, (Send(frame),))


def on_withhold(state: AwaitConfirmation, _event: Withhold, _inputs: StepInputs) -> Step:
    """Take no further part in this round; its shares are erased."""
    return Step(state.idle)


def on_quorum(state: AwaitQuorum, received: Received, inputs: StepInputs) -> Step:
    """Answer once a threshold of survivors has signed exactly the statement that this site signed.

    Only holders of its shares count: on a sparse graph, a quorum of strangers could differ for each neighbour.
    """
    membership, current = state.membership, state.current
    check_round(received.frame, current.round)
    message = body_of(Quorum, received.frame, FaultyCoordinatorError)
    signatures = forwarded(
        message.signatures,
        membership.manifest,
        kind=Consistency,
        epoch=membership.epoch,
        transcript=state.idle.transcript,
        round_=current.round,
    )
    agreeing = {
        site
        for site, frame in signatures.items()
        if body_of(Consistency, frame, FaultyCoordinatorError).statement == state.statement
    }
    if len(membership.graph.holders(membership.index, agreeing & set(state.survivors))) < membership.manifest.threshold:
        raise FaultyCoordinatorError(
            "V-0512", "fewer survivors signed this site's statement than the threshold requires"
        )
    return _answer(state, inputs)


def _answer(state: AwaitQuorum, inputs: StepInputs) -> Step:
    """Reveal, for each site asked, the share of its seed or of its vault key, and erase the row."""
    current, survivors = state.current, set(state.survivors)
    shares = {site: row[:SHARE_BYTES] if site in survivors else row[SHARE_BYTES:] for site, row in current.row.items()}
    if state.membership.manifest.is_homomorphic:
        return _answer_to_the_sites(state, b"".join(shares.values()), inputs)
    frame = frame_of(state, Unmask(shares=shares), current.round, inputs, key=current.answer_key)
    following = AwaitResult(
        idle=state.idle,
        round=current.round,
        context=current.context,
        schema=current.schema,
        deadline=current.deadline,
        survivors=state.survivors,
        statement=state.statement,
        result_key=current.result_key,
    )
    return Step(following, (Send(frame),))


def _answer_to_the_sites(state: AwaitQuorum, shares: bytes, inputs: StepInputs) -> Step:
    """Reveal the shares to the members only; the coordinator passes them on with the sum."""
    current, membership = state.current, state.membership
    key = d.sealed_shares_key(current.group_key, membership.index, membership.epoch)
    bound = d.sealed_shares_bound(membership.epoch, membership.index, current.round, state.statement)
    message = SealedShares(statement=state.statement, sealed=seal(key, shares, bound))
    following = AwaitOpening(
        idle=state.idle,
        current=replace(current, row={}),
        survivors=state.survivors,
        statement=state.statement,
        publish=state.publish,
    )
    return Step(following, (Send(frame_of(state, message, current.round, inputs)),))


# Result ------------------------------------------------------------------------------------------------------------


def on_result(state: AwaitResult, received: Received, _inputs: StepInputs) -> Step:
    """Check the published sum against the lanes that only the sites can compute."""
    membership = state.membership
    check_round(received.frame, state.round)
    message = sealed_body_of(Result, received.frame, state.result_key, FaultyCoordinatorError)
    if message.statement != state.statement:
        raise FaultyCoordinatorError("V-0513", "the sum covers a different set of survivors from the one unmasked")
    bound = d.vector_bound(membership.epoch, Result.KIND, COORDINATOR, state.round, state.context)
    try:
        total = open_vector(received.payload or b"", state.schema, message.key, bound, message.root)
    except VectorError as error:
        raise FaultyCoordinatorError("V-0513", f"the published sum: {error}") from None
    values = total.values()
    authenticate = _lanes_of(state.idle, state.round, state.context, state.schema)
    marks = mac.presence(state.survivors, len(membership.sites))
    lanes = np.array(authenticate(values, start=0), np.uint64)
    lanes += np.array(authenticate(marks, start=state.schema.length), np.uint64)
    if not np.array_equal(lanes, total.lanes):
        raise FaultyCoordinatorError("V-0514", "the published sum is not the sum of what the sites sent")
    reals = dequantize(values, state.schema, d.rotation_key(state.context))
    return Step(state.idle, (Learned(state.round, state.survivors, reals, message.root),))


# Time --------------------------------------------------------------------------------------------------------------


def on_tick(state: AwaitOpen, event: Tick, _inputs: StepInputs) -> Step:
    """End the epoch and erase all its secrets at its expiry."""
    if event.now < state.membership.manifest.expires:
        return Step(state)
    return Step(Closed(epoch=state.membership.epoch, reason="the epoch expired"))


def on_round_tick(state: InOpenRound | AwaitResult, event: Tick, inputs: StepInputs) -> Step:
    """Leave a round at its deadline: its shares and keys are erased even if frames are still missing."""
    deadline = state.deadline if isinstance(state, AwaitResult) else state.current.deadline
    if event.now < min(deadline, state.membership.manifest.expires):
        return Step(state)
    return on_tick(state.idle, event, inputs)


# Pieces ------------------------------------------------------------------------------------------------------------


def _lanes_of(idle: AwaitOpen, round_: int, context: bytes, schema: Schema) -> Authenticate:
    return partial(
        mac.lanes, idle.mac_key, count=schema.mac_lanes, round_=round_, context=context, epoch=idle.membership.epoch
    )


def check_round(frame: Frame, round_: int) -> None:
    if frame.round != round_:
        raise FaultyRelayError("V-0201", f"the frame belongs to round {frame.round}, this is round {round_}")


def frame_of(
    state: ParticipantInRound,
    message: Upload | Decline | Consistency | Unmask | SealedShares | Opened,
    round_: int,
    inputs: StepInputs,
    key: bytes | None = None,
) -> Frame:
    return signed(
        inputs,
        message,
        epoch=state.membership.epoch,
        transcript=state.idle.transcript,
        sender=state.membership.index,
        round_=round_,
        key=key,
    )
