"""The coordinator's side of a homomorphic round, from the sites' sealed shares on: it forwards what it cannot read.

Spec: 02-protocol §11. It sends every survivor the encrypted sum, the shares that the survivors sealed for each other,
and the vaults of the lost sites. It learns of the opened sum only what the sites publish.
"""

from dataclasses import replace

from secagg.envelope import COORDINATOR
from secagg.errors import NotEnoughParticipantsError, ParameterError
from secagg.messages import Opened, Opening, SealedShares
from secagg.protocol import derivations as d
from secagg.protocol.coordinator_round import AwaitOpened, AwaitSealedShares, is_repeated, place_of, send, with_frame
from secagg.protocol.encrypted_vector import EncryptedVector, seal_ciphertexts
from secagg.protocol.published import reveal
from secagg.protocol.ring_vector import VectorError, open_vector
from secagg.protocol.step import Close, Learned, Publish, Received, Step, StepInputs, blame_for, body_of, sealed_body_of


def on_sealed_shares(state: AwaitSealedShares, received: Received, _inputs: StepInputs) -> Step:
    """Record a survivor's sealed shares for the proposed set."""
    frame, blame = received.frame, blame_for(received.frame.sender)
    if is_repeated(frame, state.frames, state.survivors):
        return Step(state)
    if body_of(SealedShares, frame, blame).statement != state.statement:
        raise blame("V-0710", "the site sealed shares for a different set of survivors")
    return Step(replace(state, frames=with_frame(state.frames, frame)))


def send_opening(state: AwaitSealedShares, event: Publish, inputs: StepInputs) -> Step:
    """Send every survivor the encrypted sum with everything needed to open it.

    Raises:
        ParameterError: the sum does not have the round's schema.
        NotEnoughParticipantsError: fewer sites than the threshold sealed shares.
    """
    current, manifest, key = state.current, state.idle.manifest, d.draw(inputs.rand, "result-key")
    if len(state.frames) < manifest.threshold:
        raise NotEnoughParticipantsError(f"{len(state.frames)} sites answered; {manifest.threshold} are needed")
    if not isinstance(event.total, EncryptedVector) or event.total.schema != current.schema:
        raise ParameterError("the total is not an encrypted sum with the round's schema")
    bound = d.vector_bound(state.idle.epoch, Opening.KIND, COORDINATOR, current.round, current.context)
    sealed, place = seal_ciphertexts(event.total, key, bound), place_of(state.idle, current.round)
    lost = set(current.roster) - set(state.survivors)
    message = Opening(
        statement=state.statement,
        root=sealed.root,
        key=key,
        answers=tuple(state.frames.values()),
        vaults={site: inputs.shares[site].vaults[place] for site in sorted(lost)},
    )
    following = AwaitOpened(
        idle=state.idle, current=current, survivors=state.survivors, statement=state.statement, roots={}
    )
    sends = (
        send(state, message, inputs, site, key=current.keys[site].result, payload=sealed.chunks)
        for site in state.survivors
    )
    return Step(following, tuple(sends))


def on_opened(state: AwaitOpened, received: Received, _inputs: StepInputs) -> Step:
    """Accept a sum opened by a site; it counts as learned once more sites than may collude publish the same one."""
    frame, current = received.frame, state.current
    site, blame = frame.sender, blame_for(frame.sender)
    if site not in state.survivors:
        raise blame("V-0701", "the site is not in the sum")
    message = sealed_body_of(Opened, frame, current.keys[site].answer, blame)
    if message.statement != state.statement:
        raise blame("V-0711", "the opened sum covers a different set of survivors")
    if state.roots.get(site, message.root) != message.root:
        raise blame("V-0702", "the site published two sums for one round")
    bare = replace(current.schema, mac_lanes=0)
    bound = d.vector_bound(state.idle.epoch, Opened.KIND, site, current.round, current.context)
    try:
        total = open_vector(received.payload or b"", bare, message.key, bound, message.root)
        reals = reveal(total.values(), bare, d.rotation_key(current.context))
    except (VectorError, ParameterError) as error:
        raise blame("V-0711", str(error)) from None
    roots = dict(sorted({**state.roots, site: message.root}.items()))
    following = replace(state, roots=roots)
    if site in state.roots or list(roots.values()).count(message.root) != state.idle.manifest.colluders + 1:
        return Step(following)
    return Step(following, (Learned(current.round, state.survivors, reals, message.root),))


def close_opened(state: AwaitOpened, _event: Close, _inputs: StepInputs) -> Step:
    """Stop waiting for opened sums; sites that were not told to publish keep the sum to themselves."""
    return Step(state.idle)
