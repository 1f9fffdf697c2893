"""A site's side of an epoch's setup: from the manifest to shares, vaults and receipts.

Spec: 02-protocol §5. Each state names the list that it waits for and holds only what later steps need: secrets that
could open what the relay stores are removed from the state as soon as the step that used them is over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from secagg import merkle, shamir
from secagg.codec import U16, U32, Blob, Fixed, Hash, Map, Nested, Record, Seq, ascends, record
from secagg.envelope import COORDINATOR, EVERYONE, NO_TRANSCRIPT, Frame
from secagg.errors import FaultyCoordinatorError, FaultyRelayError
from secagg.graph import COMPLETE, MAX_DRAWS, Graph, draw
from secagg.identity import KEY_BYTES, MAX_SITES, InvalidSignatureError, Roster
from secagg.keys import (
    KEM_SEED_BYTES,
    InvalidKeyError,
    KeyAgreement,
    UnsealError,
    check_curve_key,
    check_kem_key,
    pair_secret,
    seal,
    unseal,
)
from secagg.mac import session_key
from secagg.messages import (
    SECRET_BYTES,
    SHARE_BYTES,
    Cohort,
    EncapsulationList,
    EncapsulationPackage,
    Encapsulations,
    EncapsulationSlot,
    Id,
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
)
from secagg.params import (
    MAX_HOMOMORPHIC_SITES,
    MAX_LANES,
    MAX_RING_BITS,
    MAX_ROUNDS,
    MAX_SITE_ROUNDS,
    MIN_SITES,
    Floors,
    LossRule,
    Profile,
    least_survivors,
)
from secagg.protocol import derivations as d
from secagg.protocol.listing import Listed, read_listing
from secagg.protocol.participant_round import AwaitOpen, Closed, EpochMembership, InEpoch
from secagg.protocol.step import Listening, Received, Send, Step, StepInputs, Tick, body_of, signed

ROW_BYTES = 2 * SHARE_BYTES  # a dealer's two shares of one round

Secrets = Annotated[Mapping[int, bytes], Map(U16, Fixed(32), MAX_SITES)]


@record
class Outside(Listening):
    """Before an epoch: the roster confirmed by the site's officer, the run, the site's floors, the last epoch of this
    run that it joined, and the keys of the last set of survivors that it confirmed in this run (initially none).
    """

    roster: Roster
    run: Id
    floors: Floors
    last_epoch: Annotated[int, U32]
    survivors: Annotated[tuple[bytes, ...], Seq(Fixed(KEY_BYTES), MAX_SITES)]

    def admit(self, frame: Frame) -> None:
        """Check header and signature of a manifest; no other message can be addressed to a site outside an epoch."""
        place = (frame.sender, frame.recipient, frame.round, frame.transcript)
        if place != (COORDINATOR, EVERYONE, 0, NO_TRANSCRIPT):
            raise FaultyRelayError("V-0201", "the manifest's frame has a wrong header")
        try:
            frame.verify(self.roster.coordinator)
        except InvalidSignatureError:
            raise FaultyRelayError("V-0202", "the manifest is not signed by the confirmed coordinator") from None


@record
class InSetup(InEpoch):
    """Base of the setup's states. Their frames have no round: one would allow a second slot for a second list."""

    def admit(self, frame: Frame) -> None:
        InEpoch.admit(self, frame)  # super() would refer to the class before `slots` replaced it
        if frame.round != 0:
            raise FaultyCoordinatorError("V-0201", "a frame of the setup must not have a round")


@record
class AwaitCohort(InSetup):
    """The site signed the manifest's hash."""

    nonce: Hash
    join: Frame


@record
class Peer(Record):
    """The part of another site's prekeys that a site needs."""

    curve: Annotated[bytes, Fixed(32)]
    mac_commitment: Hash


@record
class InLists(InSetup):
    """Base of the states that follow a list; `listed` are its senders."""

    listed: Indices


@record
class AwaitPrekeyList(InLists):
    """The site sent its keys and commitments. It holds the nonce commitments it was shown, and a hash of them all."""

    nonce_commitments: Secrets
    nonces: Hash
    curve_private: Annotated[bytes, Fixed(32)]
    kem_seed: Annotated[bytes, Fixed(KEM_SEED_BYTES)]
    self_chain: Hash
    vault_seed: Hash
    kappa: Hash
    prekeys: Frame


@record
class AwaitEncapsulationList(InLists):
    """The site encapsulated to all sites of higher index."""

    peers: Annotated[Mapping[int, Peer], Map(U16, Nested(Peer), MAX_SITES)]
    pair_secrets: Secrets
    channel_chain: Hash
    curve_private: Annotated[bytes, Fixed(32)]
    kem_seed: Annotated[bytes, Fixed(KEM_SEED_BYTES)]
    self_chain: Hash
    vault_seed: Hash
    kappa: Hash
    encapsulations: Frame


@record
class AwaitShareList(InLists):
    """The site dealt its shares. Its own key agreement, vault secrets and pair secrets are erased."""

    mac_commitments: Secrets
    pair_chains: Secrets
    share_keys: Secrets
    channel_chain: Hash
    self_chain: Hash
    kappa: Hash
    own_shares: Annotated[bytes, Blob(MAX_ROUNDS * ROW_BYTES)]
    shares: Frame


@record
class AwaitReady(InLists):
    """The site reported whose shares it accepted. The keys of the share channels are erased."""

    pair_chains: Secrets
    channel_chain: Hash
    self_chain: Hash
    kappas: Secrets
    rows: Annotated[Mapping[int, Mapping[int, bytes]], Map(U32, Map(U16, Fixed(ROW_BYTES), MAX_SITES), MAX_ROUNDS)]
    receipt: Frame


# Manifest -> Join --------------------------------------------------------------------------------------------------


def on_manifest(state: Outside, received: Received, inputs: StepInputs) -> Step:
    """Check every term against the site's own floors, and sign the manifest's hash."""
    frame = received.frame
    manifest = body_of(Manifest, frame, FaultyCoordinatorError)
    _check_manifest(manifest, frame, state, inputs.identity.public)
    index = manifest.sites.index(inputs.identity.public) + 1
    graph = Graph(neighbours={index: ()}) if manifest.is_sparse else COMPLETE
    membership = EpochMembership(manifest=manifest, epoch=frame.epoch, index=index, graph=graph)
    nonce = d.draw(inputs.rand, "nonce")
    message = Join(nonce_commitment=d.nonce_commitment(membership.epoch, membership.index, nonce))
    join = signed(inputs, message, epoch=membership.epoch, transcript=membership.epoch, sender=membership.index)
    return Step(AwaitCohort(membership=membership, transcript=membership.epoch, nonce=nonce, join=join), (Send(join),))


def _check_manifest(manifest: Manifest, frame: Frame, state: Outside, me: bytes) -> None:
    n, t, floors, roster = len(manifest.sites), manifest.threshold, state.floors, state.roster
    malicious = manifest.profile is Profile.MALICIOUS
    holders = manifest.most_holders
    one_in = max(1, floors.colluders_one_in)  # 0 counts as 1, to avoid dividing by a forgotten value
    least_colluders = -(-n // one_in) - 1 if malicious else 0
    left = set(state.survivors or manifest.sites)
    may_lose = not state.survivors or manifest.loss_rule is LossRule.CONTINUE
    for check, holds, rule in (
        ("V-0301", d.epoch_hash(frame.body) == frame.epoch, "the epoch's name is the manifest's hash"),
        ("V-0302", n >= max(MIN_SITES, floors.sites), f"at least {max(MIN_SITES, floors.sites)} sites take part"),
        ("V-0302", ascends(manifest.sites), "the sites' keys ascend"),
        ("V-0303", manifest.project == roster.project, "the project is the confirmed one"),
        ("V-0303", manifest.run == state.run, "the run is the one that the manifest was sent for"),
        ("V-0303", manifest.roster == roster.digest(), "the roster is the confirmed one"),
        ("V-0303", manifest.coordinator == roster.coordinator, "the coordinator is the confirmed one"),
        ("V-0303", set(manifest.sites) <= set(roster.sites), "every site is in the confirmed roster"),
        ("V-0304", me in manifest.sites, "this site is in the manifest"),
        ("V-0305", 1 <= t <= n, "the threshold is within the number of sites"),
        (
            "V-0305",
            manifest.is_sparse or 2 * t > n + manifest.colluders,
            "2 t > n + n_C, otherwise two sets of survivors could be unmasked",
        ),
        ("V-0306", manifest.survivors >= least_survivors(t, manifest.colluders), "a >= max(t, n_C + 2, 3)"),
        (
            "V-0306",
            floors.survivors <= manifest.survivors <= n,
            "the minimum number of survivors reaches this site's floor",
        ),
        ("V-0307", manifest.profile >= floors.profile, "the profile is at least as strong as this site's"),
        ("V-0307", manifest.colluders >= least_colluders, "the tolerated number of colluders is at least this site's"),
        ("V-0308", manifest.epoch > state.last_epoch, "the epoch is newer than all earlier ones of the run"),
        ("V-0309", 1 <= manifest.rounds <= MAX_ROUNDS, f"an epoch has 1 to {MAX_ROUNDS} rounds"),
        ("V-0309", holders * manifest.rounds <= MAX_SITE_ROUNDS, f"holders times rounds is at most {MAX_SITE_ROUNDS}"),
        ("V-0309", 1 <= manifest.first_round <= 2**32 - 1 - manifest.rounds, "rounds count from 1"),
        ("V-0310", 1 <= manifest.max_lanes <= MAX_LANES, "the largest vector is within the limits"),
        ("V-0310", manifest.max_ring_bits <= MAX_RING_BITS, "the largest ring is within the limits"),
        ("V-0310", manifest.privacy == b"", "no distributed noise is requested"),
        ("V-0311", manifest.slack <= n - t, "the slack leaves room for the threshold"),
        ("V-0312", _is_curve_key(manifest.coordinator_curve), "the coordinator's X25519 key is valid"),
        (
            "V-0314",
            not manifest.is_sparse or manifest.is_private_for(n),
            "the graph's degree and threshold keep secrets",
        ),
        ("V-0315", not manifest.is_sparse or manifest.epoch <= MAX_DRAWS, f"a run draws at most {MAX_DRAWS} graphs"),
        (
            "V-0316",
            not manifest.is_homomorphic or (n <= MAX_HOMOMORPHIC_SITES and not manifest.is_sparse),
            f"homomorphic sums need the complete graph and at most {MAX_HOMOMORPHIC_SITES} sites",
        ),
        ("V-0317", set(manifest.sites) <= left, "no site lost earlier in this run is asked"),
        (
            "V-0317",
            may_lose or (set(manifest.sites) == left and manifest.slack == n - t),
            "under the loss rule no site is lost between two epochs of a run, nor before the later one is ready",
        ),
        ("V-0313", manifest.setup_deadline <= manifest.expires, "setup ends before the epoch does"),
    ):
        if not holds:
            raise FaultyCoordinatorError(check, f"the manifest violates the rule: {rule}")


# Cohort -> Prekeys -------------------------------------------------------------------------------------------------


def on_cohort(state: AwaitCohort, received: Received, inputs: StepInputs) -> Step:
    """Draw the epoch's keys and secrets once the cohort is large enough, and commit to them."""
    membership = state.membership
    message = body_of(Cohort, received.frame, FaultyCoordinatorError)
    joins, transcript = _take(state, message.joins, Join, Cohort, state.join, membership.sites, (message.nonces,))
    if membership.manifest.is_sparse and not membership.manifest.is_private_for(len(joins.senders)):
        raise FaultyCoordinatorError(
            "V-0314", f"a graph over the {len(joins.senders)} sites that joined is not private"
        )
    commitments = {
        site: body_of(Join, join, FaultyCoordinatorError).nonce_commitment for site, join in joins.frames.items()
    }
    if not membership.manifest.is_sparse and message.nonces != d.nonces_hash(membership.epoch, commitments.values()):
        raise FaultyCoordinatorError("V-0407", "the hash of all nonce commitments does not match")
    keys = KeyAgreement(d.draw(inputs.rand, "curve"), d.draw(inputs.rand, "kem-d") + d.draw(inputs.rand, "kem-z"))
    self_chain, kappa = d.draw(inputs.rand, "self-chain"), d.draw(inputs.rand, "kappa")
    prekeys = Prekeys(
        nonce=state.nonce,
        curve=keys.curve_public,
        kem=keys.kem_public,
        self_commitments=tuple(
            d.self_commitment(membership.epoch, membership.index, round_, seed)
            for round_, seed in _self_seeds(membership, self_chain)
        ),
        mac_commitment=d.mac_commitment(membership.epoch, membership.index, kappa),
    )
    frame = signed(inputs, prekeys, epoch=membership.epoch, transcript=transcript, sender=membership.index)
    following = AwaitPrekeyList(
        membership=membership,
        transcript=transcript,
        listed=joins.senders,
        nonce_commitments=commitments,
        nonces=message.nonces,
        curve_private=d.draw(inputs.rand, "curve"),
        kem_seed=d.draw(inputs.rand, "kem-d") + d.draw(inputs.rand, "kem-z"),
        self_chain=self_chain,
        vault_seed=d.draw(inputs.rand, "vaults"),
        kappa=kappa,
        prekeys=frame,
    )
    return Step(following, (Send(frame),))


# PrekeyList -> Encapsulations --------------------------------------------------------------------------------------


def on_prekey_list(state: AwaitPrekeyList, received: Received, inputs: StepInputs) -> Step:
    """Establish a channel with the coordinator, and pair secrets with the sites of higher index."""
    message = body_of(PrekeyList, received.frame, FaultyCoordinatorError)
    if state.membership.manifest.is_sparse:
        state = _drawn(state, message, received.payload or b"")
    membership, me = state.membership, state.membership.index
    listed, transcript = _take(state, message.prekeys, Prekeys, PrekeyList, state.prekeys, state.listed)
    prekeys = {site: body_of(Prekeys, frame, FaultyCoordinatorError) for site, frame in listed.frames.items()}
    _check_prekeys(membership, prekeys, state.nonce_commitments)
    keys = KeyAgreement(state.curve_private, state.kem_seed)
    channel = pair_secret(
        keys.exchange(membership.manifest.coordinator_curve),
        keys.decapsulate(message.ciphertext),
        epoch=membership.epoch,
        low=(COORDINATOR, membership.manifest.coordinator_curve),
        high=(me, keys.curve_public),
        high_kem_public=keys.kem_public,
        ciphertext=message.ciphertext,
    )
    ciphertexts, secrets = {}, {}
    for site in sorted(site for site in prekeys if site > me):
        other = prekeys[site]
        ciphertexts[site], shared = inputs.encapsulate(other.kem)
        secrets[site] = pair_secret(
            keys.exchange(other.curve),
            shared,
            epoch=membership.epoch,
            low=(me, keys.curve_public),
            high=(site, other.curve),
            high_kem_public=other.kem,
            ciphertext=ciphertexts[site],
        )
    frame = signed(
        inputs,
        Encapsulations(root=merkle.root(ciphertexts.values())),
        epoch=membership.epoch,
        transcript=transcript,
        sender=me,
    )
    following = AwaitEncapsulationList(
        membership=membership,
        transcript=transcript,
        listed=listed.senders,
        peers={s: Peer(curve=p.curve, mac_commitment=p.mac_commitment) for s, p in prekeys.items()},
        pair_secrets=secrets,
        channel_chain=d.channel_chain(channel, membership.epoch),
        curve_private=state.curve_private,
        kem_seed=state.kem_seed,
        self_chain=state.self_chain,
        vault_seed=state.vault_seed,
        kappa=state.kappa,
        encapsulations=frame,
    )
    return Step(following, (Send(frame, (EncapsulationPackage(slots=ciphertexts).encode(),)),))


def _drawn(state: AwaitPrekeyList, message: PrekeyList, payload: bytes) -> AwaitPrekeyList:
    """Return the state with its place in the graph, which nobody chose: every nonce was committed to, and is present.

    A party that could omit nonces after learning them could choose among many graphs. So if one is missing, the epoch
    ends here, and the site that withheld it is left out of the next one.
    """
    membership, eh = state.membership, state.membership.epoch
    nonces = [payload[at : at + SECRET_BYTES] for at in range(0, len(payload), SECRET_BYTES)]
    if message.prekeys.senders != state.listed or len(payload) != SECRET_BYTES * len(state.listed):
        raise FaultyCoordinatorError("V-0407", "expected one nonce from every site that joined")
    commitments = [d.nonce_commitment(eh, *one) for one in zip(state.listed, nonces, strict=True)]
    if d.nonces_hash(eh, commitments) != state.nonces:
        raise FaultyCoordinatorError("V-0407", "the nonces do not open their commitments")
    drawn = draw(d.graph_seed(eh, nonces), state.listed, membership.manifest.degree)
    near = sorted((membership.index, *drawn[membership.index]))
    return replace(
        state,
        membership=replace(membership, graph=Graph(neighbours={site: drawn[site] for site in near})),
        nonce_commitments=dict(zip(state.listed, commitments, strict=True)),
    )


def _check_prekeys(
    membership: EpochMembership, prekeys: Mapping[int, Prekeys], commitments: Mapping[int, bytes]
) -> None:
    """Check every site's keys; an honest coordinator never passes on a bad one."""
    for site, keys in prekeys.items():
        try:
            check_curve_key(keys.curve)
            check_kem_key(keys.kem)
        except InvalidKeyError as error:
            raise FaultyCoordinatorError("V-0404", f"keys of site {site}: {error}") from None
        if len(keys.self_commitments) != membership.manifest.rounds:
            raise FaultyCoordinatorError("V-0405", f"site {site} did not commit to one seed per round")
        if d.nonce_commitment(membership.epoch, site, keys.nonce) != commitments[site]:
            raise FaultyCoordinatorError("V-0406", f"the nonce of site {site} does not open its commitment")
    curves = [membership.manifest.coordinator_curve, *(keys.curve for keys in prekeys.values())]
    if len(set(curves)) != len(curves) or len({keys.kem for keys in prekeys.values()}) != len(prekeys):
        raise FaultyCoordinatorError("V-0404", "two parties have the same key")


# EncapsulationList -> Shares ---------------------------------------------------------------------------------------


def on_encapsulation_list(state: AwaitEncapsulationList, received: Received, inputs: StepInputs) -> Step:
    """Complete the pair secrets; deal shares of every round's seed and vault key; then fill and seal the vaults."""
    membership, me = state.membership, state.membership.index
    message = body_of(EncapsulationList, received.frame, FaultyCoordinatorError)
    listed, transcript = _take(
        state, message.headers, Encapsulations, EncapsulationList, state.encapsulations, state.listed
    )
    frames = listed.frames
    secrets = _pair_secrets(state, frames, message)
    chains = {site: d.pair_chain(secret, membership.epoch) for site, secret in secrets.items()}
    holders = membership.graph.holders(me, set(listed.senders))
    dealt, own_shares, package = _deal(state, holders, secrets, chains, d.draw(inputs.rand, "shamir"))
    frame = signed(inputs, dealt, epoch=membership.epoch, transcript=transcript, sender=me)
    following = AwaitShareList(
        membership=membership,
        transcript=transcript,
        listed=listed.senders,
        mac_commitments={site: state.peers[site].mac_commitment for site in frames},
        pair_chains=chains,
        share_keys={site: d.share_key(secret, site, me, membership.epoch) for site, secret in secrets.items()},
        channel_chain=state.channel_chain,
        self_chain=state.self_chain,
        kappa=state.kappa,
        own_shares=own_shares,
        shares=frame,
    )
    return Step(following, (Send(frame, (package.encode(),)),))


def _pair_secrets(
    state: AwaitEncapsulationList, frames: Mapping[int, Frame], message: EncapsulationList
) -> dict[int, bytes]:
    """Return the pair secrets with all sites in the list; those of lower index encapsulated to this one."""
    membership, me = state.membership, state.membership.index
    secrets = {site: secret for site, secret in state.pair_secrets.items() if site in frames}
    if set(message.slots) != {site for site in frames if site < me}:
        raise FaultyCoordinatorError("V-0408", "expected one slot for each site of lower index")
    keys, earlier = KeyAgreement(state.curve_private, state.kem_seed), set(state.listed)
    for site, encoded in message.slots.items():
        slot = EncapsulationSlot.decode(encoded)
        header = body_of(Encapsulations, frames[site], FaultyCoordinatorError)
        recipients = [other for other in membership.graph.seen_by(site, earlier) if other > site]
        if header.root != merkle.root_from_path(slot.ciphertext, recipients.index(me), len(recipients), slot.path):
            raise FaultyCoordinatorError("V-0408", f"the slot of site {site} is not the one that it signed")
        secrets[site] = pair_secret(
            keys.exchange(state.peers[site].curve),
            keys.decapsulate(slot.ciphertext),
            epoch=membership.epoch,
            low=(site, state.peers[site].curve),
            high=(me, keys.curve_public),
            high_kem_public=keys.kem_public,
            ciphertext=slot.ciphertext,
        )
    return dict(sorted(secrets.items()))


def _deal(
    state: AwaitEncapsulationList,
    holders: Sequence[int],
    secrets: Mapping[int, bytes],
    chains: Mapping[int, bytes],
    rand: bytes,
) -> tuple[Shares, bytes, SharePackage]:
    """Return the message to sign, the site's own shares if it holds any, and the payload with all slots and vaults."""
    membership, me, eh = state.membership, state.membership.index, state.membership.epoch
    seeds = dict(_self_seeds(membership, state.self_chain))
    vault_secrets = {round_: d.vault_secret(state.vault_seed, me, round_, eh) for round_ in membership.rounds}
    pair_seeds = {site: dict(_pair_seeds(membership, chain)) for site, chain in chains.items()}
    secret = b"".join(seeds[round_] + vault_secrets[round_] for round_ in membership.rounds)
    shares = dict(
        zip(
            holders,
            shamir.split(secret, threshold=membership.manifest.threshold, holders=holders, rand=rand),
            strict=True,
        )
    )
    slots = {}
    for holder in holders:
        leaves = d.share_leaves(eh, me, holder, membership.rounds, shares[holder])
        if holder == me:
            slots[holder] = ShareSlot(sealed=b"", edges=(), leaves=leaves).encode()
            continue
        key = d.share_key(secrets[holder], me, holder, eh)
        edges = tuple(d.edge_commitment(eh, r, me, holder, seed) for r, seed in pair_seeds[holder].items())
        sealed = seal(key, shares[holder] + state.kappa, d.share_bound(eh, me, holder, membership.rounds))
        slots[holder] = ShareSlot(sealed=sealed, edges=edges, leaves=leaves).encode()
    vaults = []
    for round_ in membership.rounds:
        content = b"".join(
            pair_seeds[site][round_] if site in pair_seeds else bytes(SECRET_BYTES)
            for site in membership.graph.ends(me, membership.sites)
        )
        key = d.vault_key(vault_secrets[round_], me, round_, eh)
        vaults.append(seal(key, content, d.vault_bound(eh, me, round_)))
    dealt = Shares(
        vault_hashes=tuple(d.vault_hash(eh, me, r, vault) for r, vault in zip(membership.rounds, vaults, strict=True)),
        vault_commitments=tuple(d.vault_commitment(eh, me, r, vault_secrets[r]) for r in membership.rounds),
        channel_confirmation=d.channel_confirmation(eh, me, state.channel_chain),
        root=merkle.root(slots.values()),
    )
    return dealt, shares.get(me, b""), SharePackage(vaults=tuple(vaults), slots=slots)


# ShareList -> Receipt ----------------------------------------------------------------------------------------------


def on_share_list(state: AwaitShareList, received: Received, inputs: StepInputs) -> Step:
    """Open and check every dealer's slot; refuse each dealer that fails, and report it in the receipt."""
    membership, me = state.membership, state.membership.index
    message = body_of(ShareList, received.frame, FaultyCoordinatorError)
    listed, transcript = _take(state, message.headers, Shares, ShareList, state.shares, state.listed)
    frames = listed.frames
    if set(message.slots) != set(frames) - {me}:
        raise FaultyCoordinatorError("V-0408", "expected one slot from every other dealer")
    shares, kappas, refused = dict[int, bytes](), {me: state.kappa}, dict[int, int]()
    if state.own_shares:
        shares[me] = state.own_shares
    earlier = set(state.listed)
    for dealer, encoded in message.slots.items():
        proven = ProvenShareSlot.decode(encoded)
        header = body_of(Shares, frames[dealer], FaultyCoordinatorError)
        holders = membership.graph.holders(dealer, earlier)
        if header.root != merkle.root_from_path(proven.slot, holders.index(me), len(holders), proven.path):
            raise FaultyCoordinatorError("V-0408", "a slot is not the one that its dealer signed")
        try:
            shares[dealer], kappas[dealer] = _open_slot(state, dealer, header, ShareSlot.decode(proven.slot))
        except _RefusedError as refusal:
            refused[dealer] = int(refusal.check[2:])
    frame = signed(
        inputs,
        Receipt(accepted=tuple(sorted(set(shares) - {me})), refused=refused),
        epoch=membership.epoch,
        transcript=transcript,
        sender=me,
    )
    following = AwaitReady(
        membership=membership,
        transcript=transcript,
        listed=listed.senders,
        pair_chains={site: chain for site, chain in state.pair_chains.items() if site in shares},
        channel_chain=state.channel_chain,
        self_chain=state.self_chain,
        kappas=kappas,
        rows={
            round_: {dealer: table[i * ROW_BYTES : (i + 1) * ROW_BYTES] for dealer, table in sorted(shares.items())}
            for i, round_ in enumerate(membership.rounds)
        },
        receipt=frame,
    )
    return Step(following, (Send(frame),))


class _RefusedError(Exception):
    """A dealer's slot fails a check; the dealer is refused and the setup continues."""

    def __init__(self, check: str) -> None:
        self.check = check
        super().__init__(check)


def _open_slot(state: AwaitShareList, dealer: int, header: Shares, slot: ShareSlot) -> tuple[bytes, bytes]:
    """Return the dealer's shares for this site and its kappa; raises _RefusedError with the check that failed."""
    membership, me, eh = state.membership, state.membership.index, state.membership.epoch
    if {len(header.vault_hashes), len(header.vault_commitments), len(slot.edges)} != {len(membership.rounds)}:
        raise _RefusedError("V-0413")
    try:
        opened = unseal(state.share_keys[dealer], slot.sealed, d.share_bound(eh, dealer, me, membership.rounds))
    except UnsealError:
        raise _RefusedError("V-0409") from None
    if len(opened) != len(membership.rounds) * ROW_BYTES + SECRET_BYTES:
        raise _RefusedError("V-0409")
    shares, kappa = opened[:-SECRET_BYTES], opened[-SECRET_BYTES:]
    if d.share_leaves(eh, dealer, me, membership.rounds, shares) != slot.leaves:
        raise _RefusedError("V-0410")
    if d.mac_commitment(eh, dealer, kappa) != state.mac_commitments[dealer]:
        raise _RefusedError("V-0411")
    seeds = _pair_seeds(membership, state.pair_chains[dealer])
    if tuple(d.edge_commitment(eh, round_, me, dealer, seed) for round_, seed in seeds) != slot.edges:
        raise _RefusedError("V-0412")
    return shares, kappa


# Ready -> AwaitOpen ------------------------------------------------------------------------------------------------


def on_ready(state: AwaitReady, received: Received, _inputs: StepInputs) -> Step:
    """Check that all members accepted each other in the same transcript, and keep only what the rounds need."""
    membership, me = state.membership, state.membership.index
    message = body_of(Ready, received.frame, FaultyCoordinatorError)
    members = set(message.receipts.senders)
    if me not in members:
        raise FaultyCoordinatorError("V-0416", "the list of members omits this site")
    refused = set(membership.graph.seen_by(me, set(state.listed))) - set(state.kappas)
    earlier = set(state.listed) - refused
    listed, transcript = _take(state, message.receipts, Receipt, Ready, state.receipt, earlier)
    for site, frame in listed.frames.items():
        receipt = body_of(Receipt, frame, FaultyCoordinatorError)
        if not set(membership.graph.seen_by(site, members)) - {site} <= set(receipt.accepted):
            raise FaultyCoordinatorError("V-0414", f"site {site} did not accept every member")
    held, kappas = membership.graph.holders(me, members), [state.kappas[site] for site in listed.frames]
    following = AwaitOpen(
        membership=membership,
        transcript=transcript,
        pair_chains={site: chain for site, chain in state.pair_chains.items() if site in members},
        self_chain=state.self_chain,
        channel_chain=state.channel_chain,
        mac_key=session_key(kappas, epoch=membership.epoch),
        group_chain=d.group_chain(kappas, membership.epoch) if membership.manifest.is_homomorphic else b"",
        next_round=membership.manifest.first_round,
        survivors=listed.senders,
        rows={round_: {site: row[site] for site in held} for round_, row in state.rows.items()},
    )
    return Step(following)


# Time --------------------------------------------------------------------------------------------------------------


def on_setup_tick(state: InSetup, event: Tick, _inputs: StepInputs) -> Step:
    """Give up the epoch and erase all its secrets if the setup did not finish in time."""
    if event.now < state.membership.manifest.setup_deadline:
        return Step(state)
    return Step(Closed(epoch=state.membership.epoch, reason="the setup did not finish by its deadline"))


# Pieces ------------------------------------------------------------------------------------------------------------


def _take(
    state: InSetup,
    listing: Listing,
    kind: type[ProtocolMessage],
    list_kind: type[ProtocolMessage],
    own: Frame,
    earlier: Iterable[int],
    bound: Iterable[bytes] = (),
) -> tuple[Listed, bytes]:
    """Check the rules common to all lists, and return the list with the next transcript.

    The list must include this site's own frame and no new site, and enough sites must be left.
    """
    membership = state.membership
    listed = read_listing(
        listing,
        membership.manifest,
        site=membership.index,
        graph=membership.graph,
        kind=kind,
        epoch=membership.epoch,
        transcript=state.transcript,
    )
    if listed.frames.get(membership.index) != own:
        raise FaultyCoordinatorError("V-0402", "the list does not contain the frame that this site sent")
    if not set(listed.senders) <= set(earlier):
        raise FaultyCoordinatorError("V-0403", "the list names a site that was not in the previous one")
    if len(listed.senders) < membership.least_members:
        raise FaultyCoordinatorError(
            "V-0401", f"{len(listed.senders)} sites are left; {membership.least_members} are needed"
        )
    return listed, d.transcript_after(state.transcript, list_kind.KIND, listed.senders, listed.root, bound)


def _self_seeds(membership: EpochMembership, chain: bytes) -> Iterator[tuple[int, bytes]]:
    for round_ in membership.rounds:
        yield round_, d.self_seed(chain, membership.index, round_, membership.epoch)
        chain = d.next_self_chain(chain, round_, membership.epoch)


def _pair_seeds(membership: EpochMembership, chain: bytes) -> Iterator[tuple[int, bytes]]:
    for round_ in membership.rounds:
        yield round_, d.pair_seed(chain, round_, membership.epoch)
        chain = d.next_pair_chain(chain, round_, membership.epoch)


def _is_curve_key(public: bytes) -> bool:
    try:
        check_curve_key(public)
    except InvalidKeyError:
        return False
    return True
