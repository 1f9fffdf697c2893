"""A site's opening of the sum of a homomorphic round, with the shares that the survivors sealed for each other.

Spec: 02-protocol §11. The coordinator passes the shares on but cannot read them; only it has the dealers' hashes.
So the sites detect false shares by comparison with the others on the same polynomials, and a false secret by the
sum's lanes.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from secagg import shamir
from secagg.envelope import COORDINATOR
from secagg.errors import FaultyCoordinatorError, ParameterError
from secagg.keys import UnsealError, unseal
from secagg.masks import Mask
from secagg.messages import SECRET_BYTES, SHARE_BYTES, Opened, Opening, SealedShares
from secagg.protocol import derivations as d
from secagg.protocol.encrypted_vector import GroupKeys, open_ciphertexts, open_sum
from secagg.protocol.listing import forwarded
from secagg.protocol.participant_round import AwaitOpening, AwaitRelease, check_round, frame_of
from secagg.protocol.published import conceal, reveal
from secagg.protocol.ring_vector import RingVector, VectorError, seal_vector
from secagg.protocol.step import Learned, Received, Release, Send, Step, StepInputs, body_of, sealed_body_of
from secagg.quantize import dequantize


def on_opening(state: AwaitOpening, received: Received, _inputs: StepInputs) -> Step:
    """Open the encrypted sum with the shares of a quorum and check its lanes.

    A site that publishes keeps the sum until its rules have said which entries to hide (`on_release`).

    Whatever the coordinator did to the ciphertexts, a false sum matches each lane with probability at most 2^-58.
    """
    membership, current = state.membership, state.current
    check_round(received.frame, current.round)
    message = sealed_body_of(Opening, received.frame, current.result_key, FaultyCoordinatorError)
    if message.statement != state.statement:
        raise FaultyCoordinatorError("V-0513", "the sum covers a different set of survivors from the one unmasked")
    bound = d.vector_bound(membership.epoch, Opening.KIND, COORDINATOR, current.round, current.context)
    try:
        total = open_ciphertexts(received.payload or b"", current.schema, message.key, bound, message.root)
    except VectorError as error:
        raise FaultyCoordinatorError("V-0513", f"the encrypted sum: {error}") from None
    masks = _left_masks(state, message)
    try:
        values = open_sum(total, masks, GroupKeys.of(current.group_key, current.schema.mac_lanes, membership.epoch))
    except VectorError as error:
        raise FaultyCoordinatorError("V-0518", str(error)) from None
    if not state.publish:
        reals = dequantize(values, current.schema, d.rotation_key(current.context))
        return Step(state.idle, (Learned(current.round, state.survivors, reals, message.root),))
    following = AwaitRelease(
        idle=state.idle,
        current=replace(current, group_key=b""),
        survivors=state.survivors,
        statement=state.statement,
        root=message.root,
        total=values.astype("<i8").tobytes(),
    )
    return Step(following)


def on_release(state: AwaitRelease, event: Release, inputs: StepInputs) -> Step:
    """Publish what the site's rules allow of the opened sum, and forget the rest.

    Raises:
        ParameterError: what to publish or to hide does not fit the sum. The state is unchanged.
    """
    membership, current, key = state.membership, state.current, d.draw(inputs.rand, "opened-key")
    bare = replace(current.schema, mac_lanes=0)
    values = state.values if event.values is None else np.asarray(event.values)
    vector = RingVector(bare, conceal(values, event.hidden, bare), np.zeros(0, np.uint64))
    bound = d.vector_bound(membership.epoch, Opened.KIND, membership.index, current.round, current.context)
    sealed = seal_vector(vector, key, bound)
    message = Opened(statement=state.statement, root=sealed.root, key=key)
    reals = reveal(vector.values(), bare, d.rotation_key(current.context))
    learned = Learned(current.round, state.survivors, reals, state.root)
    frame = frame_of(state, message, current.round, inputs, key=current.answer_key)
    return Step(state.idle, (learned, Send(frame, sealed.chunks)))


def _left_masks(state: AwaitOpening, message: Opening) -> list[Mask]:
    """Return all masks left in a sum over this site's survivors.

    Raises:
        FaultyCoordinatorError: V-0205, V-0206 for the frames; V-0517 too few sites sealed shares for exactly this set;
            V-0518 the shares or the vaults are inconsistent.
    """
    membership, current, survivors = state.membership, state.current, set(state.survivors)
    eh, removed = membership.epoch, list[Mask]()
    for site, secret in _secrets(state, _shares(state, message)).items():
        if site in survivors:
            removed.append(d.self_mask(secret, site, round_=current.round, context=current.context, eh=eh))
            continue
        seeds = _vault(message.vaults, site, d.vault_key(secret, site, current.round, eh), state)
        removed += [
            d.pair_mask(seeds[other], other, site, round_=current.round, context=current.context, eh=eh)
            for other in state.survivors
        ]
    return removed


def _shares(state: AwaitOpening, message: Opening) -> dict[int, bytes]:
    """Return the shares that each holder sealed: those of the roster's secrets, in the roster's order."""
    membership, current, shares = state.membership, state.current, dict[int, bytes]()
    answers = forwarded(
        message.answers,
        membership.manifest,
        kind=SealedShares,
        epoch=membership.epoch,
        transcript=state.idle.transcript,
        round_=current.round,
    )
    for holder, frame in answers.items():
        answer = body_of(SealedShares, frame, FaultyCoordinatorError)
        bound = d.sealed_shares_bound(membership.epoch, holder, current.round, state.statement)
        try:
            opened = unseal(d.sealed_shares_key(current.group_key, holder, membership.epoch), answer.sealed, bound)
        except UnsealError:
            continue  # shares for another statement, or none at all: not counted
        if holder in state.survivors and len(opened) == SHARE_BYTES * len(current.roster):
            shares[holder] = opened
    if len(shares) < membership.manifest.threshold:
        raise FaultyCoordinatorError("V-0517", "fewer survivors sealed shares for this set than the threshold requires")
    return shares


def _secrets(state: AwaitOpening, shares: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return each dealer's secret; a holder is left out if all others agree without it."""
    threshold, roster = state.membership.manifest.threshold, state.current.roster
    leaving_out: list[Collection[int]] = [()]
    if len(shares) > threshold + 1:  # they agree by chance with probability 2^-16 per symbol of the secrets
        leaving_out += [(holder,) for holder in shares]
    for false in leaving_out:
        try:
            joined = shamir.combine({h: one for h, one in shares.items() if h not in false}, threshold)
        except ParameterError:
            continue
        return {site: joined[i * SECRET_BYTES : (i + 1) * SECRET_BYTES] for i, site in enumerate(roster)}
    raise FaultyCoordinatorError("V-0518", "the shares do not lie on one polynomial")


def _vault(vaults: Mapping[int, bytes], lost: int, key: bytes, state: AwaitOpening) -> dict[int, bytes]:
    """Return the seeds that a lost site shares with each other site."""
    membership = state.membership
    try:
        content = unseal(key, vaults.get(lost, b""), d.vault_bound(membership.epoch, lost, state.current.round))
    except UnsealError:
        raise FaultyCoordinatorError("V-0518", f"the vault of site {lost} does not open") from None
    if len(content) != SECRET_BYTES * len(membership.sites):
        raise FaultyCoordinatorError("V-0518", f"the vault of site {lost} does not contain one seed per site")
    return {site: content[(site - 1) * SECRET_BYTES : site * SECRET_BYTES] for site in membership.sites}
