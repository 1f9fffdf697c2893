"""The coordinator's side of an epoch's setup: it checks frames, closes each step with a list, and learns nothing.

Spec: 02-protocol §5. A site whose frame fails a check is left out of the next list; the error names it. The machine's
driver decides when a step is closed (all frames have arrived, or time is up).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Any, TypeVar

from secagg import merkle
from secagg.codec import Fixed, Hash, Record, record, tagged_hash
from secagg.envelope import COORDINATOR, EVERYONE, NO_TRANSCRIPT, Frame
from secagg.errors import (
    DecodeError,
    FaultyParticipantError,
    NotEnoughParticipantsError,
    ParameterError,
)
from secagg.graph import COMPLETE, Graph, draw
from secagg.identity import Roster
from secagg.keys import InvalidKeyError, KeyAgreement, check_curve_key, check_kem_key, pair_secret
from secagg.messages import (
    HASH_BYTES,
    Cohort,
    EncapsulationList,
    EncapsulationPackage,
    Encapsulations,
    EncapsulationSlot,
    HeldLeaves,
    Indices,
    Join,
    Listing,
    Manifest,
    PrekeyList,
    Prekeys,
    ProtocolMessage,
    ProvenShareSlot,
    Ready,
    Receipt,
    ShareList,
    SharePackage,
    Shares,
    ShareSlot,
    Suite,
)
from secagg.params import (
    MAX_HOMOMORPHIC_SITES,
    MAX_LANES,
    MAX_RING_BITS,
    LossRule,
    Profile,
    default_colluders,
    default_threshold,
    least_survivors,
)
from secagg.protocol import derivations as d
from secagg.protocol.coordinator_round import Dealer, Frames, Prepared, Secrets, admit
from secagg.protocol.listing import Shown
from secagg.protocol.step import Close, Keep, Listening, Received, Send, Step, StepInputs, blame_for, body_of, signed

Curve = Annotated[bytes, Fixed(32)]


@record
class CoordinatorSetup(Listening):
    """Base of the coordinator's states in a setup: the epoch, the transcript so far, and this step's frames."""

    manifest: Manifest
    epoch: Hash
    transcript: Hash
    frames: Frames

    @property
    def least_members(self) -> int:
        return max(self.manifest.survivors, self.manifest.threshold + self.manifest.slack)

    @property
    def rounds(self) -> range:
        return range(self.manifest.first_round, self.manifest.first_round + self.manifest.rounds)

    def admit(self, frame: Frame) -> None:
        admit(self.manifest, self.epoch, self.transcript, frame)


@record
class AwaitJoins(CoordinatorSetup):
    """The manifest was sent."""

    curve_private: Curve


@record
class AwaitPrekeys(CoordinatorSetup):
    """The cohort was announced. Keys seen so far are recorded, so that no site can send another party's key."""

    curve_private: Curve
    nonce_commitments: Secrets
    curves: Secrets
    kem_hashes: Secrets


@record
class AwaitEncapsulations(CoordinatorSetup):
    """All prekeys were passed on. The coordinator's own key is erased."""

    graph: Graph
    prekeys: Frames
    channel_chains: Secrets


@record
class AwaitShares(CoordinatorSetup):
    """All encapsulations were passed on to the `holders`; each deals to all holders that are its neighbours."""

    graph: Graph
    prekeys: Frames
    channel_chains: Secrets
    holders: Indices


@record
class AwaitReceipts(CoordinatorSetup):
    """All shares were passed on."""

    graph: Graph
    prekeys: Frames
    channel_chains: Secrets
    shares: Frames


# Manifest ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of an epoch. None means a default: the safest threshold, and limits as wide as the format allows.

    Attributes:
        sites: verify keys of the sites to ask, all in the roster.
        epoch: number within the run, from 1; rounds are numbered across all epochs of a run.
        setup_deadline, expires: seconds since 1970.
        degree: degree of a sparse graph, to whose neighbourhoods the threshold then refers; 0 for the complete graph.
        survivors: minimum number of sites in a sum; by default the least safe number.
        slack: number of sites beyond the threshold that must be left after the setup; None if no site may be lost.
        suite: algorithms of the epoch; the homomorphic suite gives sums that the coordinator does not learn.
    """

    roster: Roster
    sites: tuple[bytes, ...]
    run: bytes
    epoch: int = 1
    first_round: int = 1
    rounds: int
    setup_deadline: int
    expires: int
    profile: Profile = Profile.MALICIOUS
    loss_rule: LossRule = LossRule.PAUSE
    threshold: int | None = None
    colluders: int | None = None
    survivors: int | None = None
    slack: int | None = 0
    degree: int = 0
    max_lanes: int = MAX_LANES
    max_ring_bits: int = MAX_RING_BITS
    suite: Suite = Suite.X25519_MLKEM768_AES256


def announce(plan: Plan, inputs: StepInputs) -> Step:
    """Start an epoch: sign its manifest for everyone.

    Raises:
        ParameterError: the identity is not the roster's coordinator, a site is not in the roster, or homomorphic sums
            are requested on a sparse graph or for too many sites. Each site decides for itself whether the terms
            are acceptable.
    """
    if inputs.identity.public != plan.roster.coordinator or not set(plan.sites) <= set(plan.roster.sites):
        raise ParameterError("only the roster's coordinator may announce an epoch, and only to sites in the roster")
    if plan.suite is Suite.X25519_MLKEM768_AES256_BFV and (plan.degree or len(plan.sites) > MAX_HOMOMORPHIC_SITES):
        raise ParameterError(f"homomorphic sums need the complete graph and at most {MAX_HOMOMORPHIC_SITES} sites")
    curve_private = d.draw(inputs.rand, "curve")
    threshold = default_threshold(len(plan.sites), plan.profile) if plan.threshold is None else plan.threshold
    colluders = default_colluders(len(plan.sites), plan.profile) if plan.colluders is None else plan.colluders
    manifest = Manifest(
        suite=plan.suite,
        profile=plan.profile,
        loss_rule=plan.loss_rule,
        project=plan.roster.project,
        roster=plan.roster.digest(),
        run=plan.run,
        epoch=plan.epoch,
        first_round=plan.first_round,
        rounds=plan.rounds,
        threshold=threshold,
        colluders=colluders,
        survivors=least_survivors(threshold, colluders) if plan.survivors is None else plan.survivors,
        slack=len(plan.sites) - threshold if plan.slack is None else plan.slack,
        setup_deadline=plan.setup_deadline,
        expires=plan.expires,
        max_lanes=plan.max_lanes,
        max_ring_bits=plan.max_ring_bits,
        degree=plan.degree,
        privacy=b"",
        coordinator=inputs.identity.public,
        coordinator_curve=KeyAgreement(curve_private).curve_public,
        sites=tuple(sorted(plan.sites)),
    )
    epoch = d.epoch_hash(manifest.encode())
    frame = signed(inputs, manifest, epoch=epoch, transcript=NO_TRANSCRIPT, sender=COORDINATOR, recipient=EVERYONE)
    state = AwaitJoins(manifest=manifest, epoch=epoch, transcript=epoch, curve_private=curve_private, frames={})
    return Step(state, (Send(frame),))


# Join -> Cohort ----------------------------------------------------------------------------------------------------


def on_join(state: AwaitJoins, received: Received, _inputs: StepInputs) -> Step:
    """Record a site that takes part."""
    body_of(Join, received.frame, blame_for(received.frame.sender))
    return Step(_collected(state, received.frame, range(1, len(state.manifest.sites) + 1)))


def close_joins(state: AwaitJoins, _event: Close, inputs: StepInputs) -> Step:
    """Announce the cohort, unless no site would accept a graph over so few (V-0314)."""
    joins = _closed(state)
    if state.manifest.is_sparse and not state.manifest.is_private_for(len(joins)):
        raise NotEnoughParticipantsError(f"{len(joins)} sites joined; too few for a graph that keeps secrets")
    commitments = {site: body_of(Join, frame, blame_for(site)).nonce_commitment for site, frame in joins.items()}
    nonces = d.nonces_hash(state.epoch, commitments.values())
    strangers = Graph(
        neighbours=dict.fromkeys(joins, ())
    )  # on the complete graph one frame shows everything to everyone
    setup, sends = _close(
        state, Cohort, strangers, lambda _, joins: Cohort(joins=joins, nonces=nonces), inputs, bound=(nonces,)
    )
    following = AwaitPrekeys(
        **setup, curve_private=state.curve_private, nonce_commitments=commitments, curves={}, kem_hashes={}
    )
    return Step(following, sends)


# Prekeys -> PrekeyList ---------------------------------------------------------------------------------------------


def on_prekeys(state: AwaitPrekeys, received: Received, _inputs: StepInputs) -> Step:
    """Check a site's keys and the number of its commitments."""
    site, blame = received.frame.sender, blame_for(received.frame.sender)
    keys = body_of(Prekeys, received.frame, blame)
    following = _collected(state, received.frame, state.nonce_commitments)
    try:
        check_curve_key(keys.curve)
        check_kem_key(keys.kem)
    except InvalidKeyError as error:
        raise blame("V-0603", str(error)) from None
    kem_hash = tagged_hash("kem-key", keys.kem)
    if _is_anothers(keys.curve, site, {COORDINATOR: state.manifest.coordinator_curve, **state.curves}):
        raise blame("V-0603", "the X25519 key belongs to another party")
    if _is_anothers(kem_hash, site, state.kem_hashes):
        raise blame("V-0603", "the ML-KEM key belongs to another site")
    if len(keys.self_commitments) != len(state.rounds):
        raise blame("V-0604", "expected one commitment per round")
    if d.nonce_commitment(state.epoch, site, keys.nonce) != state.nonce_commitments[site]:
        raise blame("V-0605", "the nonce does not open its commitment")
    seen = replace(
        following,
        curves={**state.curves, site: keys.curve},
        kem_hashes={**state.kem_hashes, site: kem_hash},
    )
    return Step(seen)


def _is_anothers(key: bytes, site: int, seen: Mapping[int, bytes]) -> bool:
    return any(other != site and known == key for other, known in seen.items())


def close_prekeys(state: AwaitPrekeys, _event: Close, inputs: StepInputs) -> Step:
    """Draw the graph, pass the prekeys on, and establish a channel with each site."""
    frames = _closed(state)
    prekeys = {site: body_of(Prekeys, frame, blame_for(site)) for site, frame in frames.items()}
    graph, nonces = COMPLETE, b""
    if state.manifest.is_sparse:
        if missing := set(state.nonce_commitments) - set(frames):
            raise NotEnoughParticipantsError(f"the graph needs every site's nonce; site {min(missing)} sent none")
        seed = d.graph_seed(state.epoch, (one.nonce for one in prekeys.values()))
        graph = Graph(neighbours=draw(seed, tuple(frames), state.manifest.degree))
        nonces = b"".join(one.nonce for one in prekeys.values())
    own = KeyAgreement(state.curve_private)
    chains, ciphertexts = {}, {}
    for site, keys in prekeys.items():
        ciphertexts[site], shared = inputs.encapsulate(keys.kem)
        secret = pair_secret(
            own.exchange(keys.curve),
            shared,
            epoch=state.epoch,
            low=(COORDINATOR, own.curve_public),
            high=(site, keys.curve),
            high_kem_public=keys.kem,
            ciphertext=ciphertexts[site],
        )
        chains[site] = d.channel_chain(secret, state.epoch)
    setup, sends = _close(
        state,
        PrekeyList,
        graph,
        lambda site, prekeys: PrekeyList(prekeys=prekeys, ciphertext=ciphertexts[site]),
        inputs,
        payload=(nonces,) if nonces else (),
    )
    return Step(AwaitEncapsulations(**setup, graph=graph, prekeys=frames, channel_chains=chains), sends)


# Encapsulations -> EncapsulationList -------------------------------------------------------------------------------


def on_encapsulations(state: AwaitEncapsulations, received: Received, _inputs: StepInputs) -> Step:
    """Check a site's ciphertexts against the root that it signed."""
    site, blame = received.frame.sender, blame_for(received.frame.sender)
    header = body_of(Encapsulations, received.frame, blame)
    following = _collected(state, received.frame, state.prekeys)
    package = _package(EncapsulationPackage, received, "V-0606")
    if list(package.slots) != [other for other in state.graph.seen_by(site, state.prekeys) if other > site]:
        raise blame("V-0606", "expected one ciphertext for each site of higher index")
    if merkle.root(package.slots.values()) != header.root:
        raise blame("V-0606", "the ciphertexts are not the signed ones")
    return Step(following, (Keep(site, package),))


def close_encapsulations(state: AwaitEncapsulations, _event: Close, inputs: StepInputs) -> Step:
    """Pass to each site the ciphertexts that the sites of lower index encapsulated to it."""
    frames = _closed(state)
    slots: dict[int, dict[int, bytes]] = {site: {} for site in frames}
    for site in frames:
        package = inputs.encapsulations[site].slots
        paths = merkle.Tree(package.values()).paths()
        for (recipient, ciphertext), path in zip(package.items(), paths, strict=True):
            if recipient in slots:
                slots[recipient][site] = EncapsulationSlot(ciphertext=ciphertext, path=path).encode()
    setup, sends = _close(
        state,
        EncapsulationList,
        state.graph,
        lambda site, headers: EncapsulationList(headers=headers, slots=slots[site]),
        inputs,
    )
    following = AwaitShares(
        **setup,
        graph=state.graph,
        prekeys=state.prekeys,
        channel_chains=state.channel_chains,
        holders=tuple(frames),
    )
    return Step(following, sends)


# Shares -> ShareList -----------------------------------------------------------------------------------------------


def on_shares(state: AwaitShares, received: Received, _inputs: StepInputs) -> Step:
    """Check a dealer's slots and vaults against what it signed, and keep them."""
    site, blame = received.frame.sender, blame_for(received.frame.sender)
    header = body_of(Shares, received.frame, blame)
    following = _collected(state, received.frame, state.holders)
    package = _package(SharePackage, received, "V-0607")
    rounds, count = state.rounds, len(state.rounds)
    if list(package.slots) != state.graph.holders(site, set(state.holders)):
        raise blame("V-0607", "expected one slot for each holder")
    if {len(header.vault_commitments), len(header.vault_hashes), len(package.vaults)} != {count}:
        raise blame("V-0607", "expected one vault per round")
    if any(
        ShareSlot.counts(slot) != (0 if holder == site else count, 2 * count) for holder, slot in package.slots.items()
    ):
        raise blame("V-0607", "a slot's number of edges or leaves does not match the epoch's rounds")
    hashes = (d.vault_hash(state.epoch, site, r, vault) for r, vault in zip(rounds, package.vaults, strict=True))
    if tuple(hashes) != header.vault_hashes:
        raise blame("V-0607", "the vaults are not the signed ones")
    if merkle.root(package.slots.values()) != header.root:
        raise blame("V-0607", "the slots are not the signed ones")
    if header.channel_confirmation != d.channel_confirmation(state.epoch, site, state.channel_chains[site]):
        raise blame("V-0608", "the two ends of the channel have different keys")
    return Step(following, (Keep(site, package),))


def close_shares(state: AwaitShares, _event: Close, inputs: StepInputs) -> Step:
    """Pass to each holder its slots from all dealers."""
    frames = _closed(state)
    slots: dict[int, dict[int, bytes]] = {site: {} for site in frames}
    leaves: dict[int, dict[int, bytes]] = {site: {} for site in frames}
    tail = 2 * len(state.rounds) * HASH_BYTES  # of a slot: its leaves
    for dealer in frames:
        package = inputs.shares[dealer].slots
        paths = merkle.Tree(package.values()).paths()
        for (holder, slot), path in zip(package.items(), paths, strict=True):
            if holder not in slots:
                continue
            leaves[holder][dealer] = slot[-tail:]
            if holder != dealer:
                slots[holder][dealer] = ProvenShareSlot(slot=slot, path=path).encode()
    keeps = [Keep(site, HeldLeaves(dealers=leaves[site])) for site in frames]
    setup, sends = _close(
        state, ShareList, state.graph, lambda site, headers: ShareList(headers=headers, slots=slots[site]), inputs
    )
    following = AwaitReceipts(
        **setup,
        graph=state.graph,
        prekeys=state.prekeys,
        channel_chains=state.channel_chains,
        shares=frames,
    )
    return Step(following, (*keeps, *sends))


# Receipt -> Ready --------------------------------------------------------------------------------------------------


def on_receipt(state: AwaitReceipts, received: Received, _inputs: StepInputs) -> Step:
    """Record the dealers that a site accepted and refused."""
    site, blame = received.frame.sender, blame_for(received.frame.sender)
    receipt = body_of(Receipt, received.frame, blame)
    following = _collected(state, received.frame, state.shares)
    accepted, refused = set(receipt.accepted), set(receipt.refused)
    if accepted & refused or accepted | refused != set(state.graph.seen_by(site, state.shares)) - {site}:
        raise blame("V-0609", "the receipt does not state for every other dealer whether it was accepted")
    return Step(following)


def close_receipts(state: AwaitReceipts, _event: Close, inputs: StepInputs) -> Step:
    """Choose members that all accepted each other, and declare the epoch ready."""
    receipts = {site: body_of(Receipt, frame, blame_for(site)) for site, frame in state.frames.items()}
    members = mutual_members({s: set(r.refused) for s, r in receipts.items()}, state.manifest.colluders)
    settled = replace(state, frames={site: frame for site, frame in state.frames.items() if site in members})
    frames = _closed(settled)
    dealers = {}
    for site in frames:
        keys = body_of(Prekeys, state.prekeys[site], blame_for(site))
        shares = body_of(Shares, state.shares[site], blame_for(site))
        dealers[site] = Dealer(
            self_commitments=keys.self_commitments,
            vault_hashes=shares.vault_hashes,
            vault_commitments=shares.vault_commitments,
        )
    setup, sends = _close(settled, Ready, state.graph, lambda _, receipts: Ready(receipts=receipts), inputs)
    following = Prepared(
        manifest=state.manifest,
        epoch=state.epoch,
        transcript=setup["transcript"],
        graph=state.graph,
        dealers=dealers,
        channel_chains={site: chain for site, chain in state.channel_chains.items() if site in frames},
        next_round=state.manifest.first_round,
        survivors=tuple(frames),
    )
    return Step(following, sends)


def mutual_members(refused: Mapping[int, set[int]], colluders: int) -> set[int]:
    """Return a set of sites in which none refused another.

    A site in conflict with more than n_C others is itself at fault, since at least one of them is honest; among the
    rest, the site with the most conflicts is removed first, and on a tie the one with the higher index.
    """

    def conflicts(sites: set[int]) -> dict[int, int]:
        pairs = {frozenset((site, other)) for site in sites for other in refused[site] & sites}
        counts = Counter(chain.from_iterable(pairs))
        return {site: counts[site] for site in sites}

    members = {site for site, count in conflicts(set(refused)).items() if count <= colluders}
    while worst := max(((count, site) for site, count in conflicts(members).items() if count), default=None):
        members.remove(worst[1])
    return members


# Pieces ------------------------------------------------------------------------------------------------------------

S = TypeVar("S", bound=CoordinatorSetup)
P = TypeVar("P", bound=Record)


def _collected(state: S, frame: Frame, expected: Iterable[int]) -> S:
    """Return the state with one more frame; a site has one frame per step, and a repeated one changes nothing."""
    if frame.round != 0:
        raise FaultyParticipantError("V-0201", "a frame of the setup must not have a round", party=frame.sender)
    if frame.sender not in expected:
        raise FaultyParticipantError("V-0601", "the site is not in the previous list", party=frame.sender)
    if (earlier := state.frames.get(frame.sender)) is None:
        return replace(state, frames=dict(sorted({**state.frames, frame.sender: frame}.items())))
    if earlier != frame:
        raise FaultyParticipantError("V-0602", "the site signed two different frames for one step", party=frame.sender)
    return state


def _closed(state: CoordinatorSetup) -> Mapping[int, Frame]:
    """Return the frames of a step that is being closed, by site in ascending order."""
    if len(state.frames) < state.least_members:
        raise NotEnoughParticipantsError(f"{len(state.frames)} sites answered; {state.least_members} are needed")
    return state.frames


def _package(kind: type[P], received: Received, check: str) -> P:
    try:
        return kind.decode(received.payload or b"")
    except DecodeError as error:
        detail = f"the payload is not a valid {kind.__name__}: {error.detail}"
        raise FaultyParticipantError(check, detail, party=received.frame.sender) from None


def _close(
    state: CoordinatorSetup,
    kind: type[ProtocolMessage],
    graph: Graph,
    message: Callable[[int, Listing], ProtocolMessage],
    inputs: StepInputs,
    *,
    bound: Iterable[bytes] = (),
    payload: tuple[bytes, ...] = (),
) -> tuple[dict[str, Any], tuple[Send, ...]]:
    """Close a step with a list; return the fields common to the next state, and the list for each site.

    The listed frames contain the transcript as it stood before the list.
    """
    shown = Shown(state.frames)

    def send(listing: Listing, recipient: int) -> Send:
        frame = signed(
            inputs,
            message(recipient, listing),
            epoch=state.epoch,
            transcript=state.transcript,
            sender=COORDINATOR,
            recipient=recipient,
        )
        return Send(frame, payload, shared=bool(payload))

    shared = state.manifest.is_shared(kind)
    recipients = [EVERYONE] if shared else list(state.frames)
    sends = tuple(send(shown.whole if shared else shown.to(site, graph), site) for site in recipients)
    setup = {
        "manifest": state.manifest,
        "epoch": state.epoch,
        "transcript": d.transcript_after(state.transcript, kind.KIND, state.frames, shown.root, bound),
        "frames": {},
    }
    return setup, sends
