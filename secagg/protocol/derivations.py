"""Every secret, commitment and hash that the protocol derives, each with its label, in one place.

Spec: 02-protocol §3, whose table lists the same labels. `eh` is the epoch's hash; indices are u16, rounds u32.
"""

from collections.abc import Collection, Iterable
from hashlib import sha256
from struct import Struct, pack

from secagg.codec import prefixed, tag, tagged_hash, u16, u32
from secagg.keys import derive
from secagg.masks import Mask
from secagg.messages import SECRET_BYTES, SHARE_BYTES

# Randomness of a step ----------------------------------------------------------------------------------------------


def draw(rand: bytes, name: str) -> bytes:
    """Return 32 bytes for one purpose from a step's 32-byte seed, which is drawn afresh for each step."""
    return derive(rand, "draw", name.encode("ascii"), epoch=bytes(32))


# What is agreed ----------------------------------------------------------------------------------------------------


def epoch_hash(manifest: bytes) -> bytes:
    return tagged_hash("manifest", manifest)


def transcript_after(
    transcript: bytes, kind: int, senders: Collection[int], root: bytes, bound: Iterable[bytes] = ()
) -> bytes:
    """Return the running hash after a step was closed with a list of this kind; it starts as the epoch's hash.

    `root` is the Merkle root over the senders' frames, `bound` the other data that the list fixes.
    """
    return tagged_hash("transcript", transcript, bytes([kind]), _joined(senders), root, *bound)


def context_hash(eh: bytes, transcript: bytes, round_: int, open_body: bytes) -> bytes:
    """Return ctx, the hash of a round's terms, down to the exact query. It enters every mask key of the round."""
    return tagged_hash("context", eh, transcript, u32(round_), open_body)


def rotation_key(context: bytes) -> bytes:
    """Return the public key of a round's rotations, which nobody can choose once the round's terms are fixed."""
    return tagged_hash("rotation", context)


def survivors_statement(eh: bytes, round_: int, context: bytes, senders: Collection[int], root: bytes) -> bytes:
    """Return the statement that a survivor signs: the only set of uploads that it will unmask in this round."""
    return tagged_hash("consistency", eh, u32(round_), context, _joined(senders), root)


def _joined(indices: Collection[int]) -> bytes:
    return pack(f">{len(indices)}H", *indices)


def nonces_hash(eh: bytes, commitments: Iterable[bytes]) -> bytes:
    """Return the hash over the nonce commitments of all sites that joined, in the order of their indices."""
    return tagged_hash("nonces", eh, b"".join(commitments))


def graph_seed(eh: bytes, nonces: Iterable[bytes]) -> bytes:
    """Return the seed of a sparse graph, from the nonces of all sites, each committed to before any was revealed."""
    return tagged_hash("graph", eh, b"".join(nonces))


# Hashed once per pair of sites: tags, and the length-prefixed parts, which all have one size.
_EDGE, _EDGE_PARTS = tag("edge"), Struct(">I32sIIIHIHI32s")
_SHARE, _SHARE_PARTS = tag("share"), Struct(">I32sIHIHIIIBI32s")

# Commitments -------------------------------------------------------------------------------------------------------


def nonce_commitment(eh: bytes, site: int, nonce: bytes) -> bytes:
    return tagged_hash("nonce-commit", eh, u16(site), nonce)


def self_commitment(eh: bytes, site: int, round_: int, seed: bytes) -> bytes:
    return tagged_hash("self-commit", eh, u16(site), u32(round_), seed)


def vault_commitment(eh: bytes, site: int, round_: int, key: bytes) -> bytes:
    return tagged_hash("vault-commit", eh, u16(site), u32(round_), key)


def mac_commitment(eh: bytes, site: int, kappa: bytes) -> bytes:
    return tagged_hash("mac-commit", eh, u16(site), kappa)


def edge_commitment(eh: bytes, round_: int, site: int, other: int, seed: bytes) -> bytes:
    """Return the commitment to an edge's seed; both ends make it, and the two must be equal."""
    low, high = (site, other) if site < other else (other, site)
    return sha256(_EDGE + _EDGE_PARTS.pack(32, eh, 4, round_, 2, low, 2, high, SECRET_BYTES, seed)).digest()


def share_leaf(eh: bytes, dealer: int, holder: int, round_: int, kind: int, share: bytes) -> bytes:
    """Return the hash of one share; `kind` is SEED_SHARE or VAULT_SHARE."""
    return sha256(
        _SHARE + _SHARE_PARTS.pack(32, eh, 2, dealer, 2, holder, 4, round_, 1, kind, SHARE_BYTES, share)
    ).digest()


SEED_SHARE = 0
VAULT_SHARE = 1


def share_leaves(eh: bytes, dealer: int, holder: int, rounds: Iterable[int], shares: bytes) -> tuple[bytes, ...]:
    """Return the hashes of a holder's shares from one dealer: for each round the seed's, then the vault key's."""
    kinds = [(round_, kind) for round_ in rounds for kind in (SEED_SHARE, VAULT_SHARE)]
    return tuple(
        share_leaf(eh, dealer, holder, round_, kind, shares[i * SHARE_BYTES : (i + 1) * SHARE_BYTES])
        for i, (round_, kind) in enumerate(kinds)
    )


def vault_hash(eh: bytes, site: int, round_: int, vault: bytes) -> bytes:
    return tagged_hash("vault", eh, u16(site), u32(round_), vault)


def channel_confirmation(eh: bytes, site: int, chain: bytes) -> bytes:
    return tagged_hash("channel-confirm", eh, u16(site), chain)


# Chains: each value yields a round's secrets and its own successor, and reveals nothing about earlier rounds----------


def pair_chain(pair_secret: bytes, eh: bytes) -> bytes:
    return derive(pair_secret, "pair-chain", epoch=eh)


def pair_seed(chain: bytes, round_: int, eh: bytes) -> bytes:
    return derive(chain, "pair-seed", u32(round_), epoch=eh)


def next_pair_chain(chain: bytes, round_: int, eh: bytes) -> bytes:
    return derive(chain, "pair-ratchet", u32(round_), epoch=eh)


def self_seed(chain: bytes, site: int, round_: int, eh: bytes) -> bytes:
    return derive(chain, "self-seed", u16(site), u32(round_), epoch=eh)


def next_self_chain(chain: bytes, round_: int, eh: bytes) -> bytes:
    return derive(chain, "self-ratchet", u32(round_), epoch=eh)


def channel_chain(pair_secret: bytes, eh: bytes) -> bytes:
    """Return the first value of the chain shared by a site and the coordinator."""
    return derive(pair_secret, "channel-chain", epoch=eh)


def channel_key(chain: bytes, round_: int, kind: int, eh: bytes) -> bytes:
    """Return the key that seals the one message of this kind in this round between the coordinator and the site."""
    return derive(chain, "channel-key", u32(round_), bytes([kind]), epoch=eh)


def next_channel_chain(chain: bytes, round_: int, eh: bytes) -> bytes:
    return derive(chain, "channel-ratchet", u32(round_), epoch=eh)


def group_chain(kappas: Iterable[bytes], eh: bytes) -> bytes:
    """Return the first value of the chain that all members share with nobody else."""
    return derive(b"".join(kappas), "group-chain", epoch=eh)


def next_group_chain(chain: bytes, round_: int, eh: bytes) -> bytes:
    return derive(chain, "group-ratchet", u32(round_), epoch=eh)


# Keys of one use ---------------------------------------------------------------------------------------------------


def share_key(pair_secret: bytes, dealer: int, holder: int, eh: bytes) -> bytes:
    """Return the key that seals the dealer's shares for the holder; the other direction has its own key."""
    return derive(pair_secret, "share-channel", u16(dealer), u16(holder), epoch=eh)


def vault_secret(seed: bytes, site: int, round_: int, eh: bytes) -> bytes:
    """Return e: the secret of a round's vault, shared among the holders."""
    return derive(seed, "vault-secret", u16(site), u32(round_), epoch=eh)


def vault_key(secret: bytes, site: int, round_: int, eh: bytes) -> bytes:
    return derive(secret, "vault-key", u16(site), u32(round_), epoch=eh)


def share_bound(eh: bytes, dealer: int, holder: int, rounds: range) -> bytes:
    """Return the associated data of the shares that a dealer seals for a holder."""
    return tag("share-blob") + prefixed(eh, u16(dealer), u16(holder), u32(rounds.start), u32(len(rounds)))


def vault_bound(eh: bytes, site: int, round_: int) -> bytes:
    """Return the associated data of a vault."""
    return tag("vault-seal") + prefixed(eh, u16(site), u32(round_))


def vector_bound(eh: bytes, kind: int, site: int, round_: int, context: bytes) -> bytes:
    """Return the associated data of a sealed vector; `site` is the uploading site, 0 for the published sum."""
    return tag("vector-seal") + prefixed(eh, bytes([kind]), u16(site), u32(round_), context)


def pair_mask(seed: bytes, site: int, other: int, *, round_: int, context: bytes, eh: bytes) -> Mask:
    """Return the mask of `site` for its edge to `other`: the end with the lower index adds it, the other subtracts."""
    low, high = sorted((site, other))
    key = derive(seed, "pair-mask", u32(round_), u16(low), u16(high), context, epoch=eh)
    return Mask(key=key, negate=site == high)


def self_mask(seed: bytes, site: int, *, round_: int, context: bytes, eh: bytes) -> Mask:
    return Mask(key=derive(seed, "self-mask", u32(round_), u16(site), context, epoch=eh), negate=False)


# Homomorphic epochs ------------------------------------------------------------------------------------------------


def group_key(chain: bytes, round_: int, context: bytes, eh: bytes) -> bytes:
    """Return the members' shared key of a round, from which everything hidden from the coordinator is derived."""
    return derive(chain, "group-key", u32(round_), context, epoch=eh)


def he_seed(group: bytes, eh: bytes) -> bytes:
    """Return the seed of the round's homomorphic secret key."""
    return derive(group, "he-key", epoch=eh)


def sealed_shares_key(group: bytes, holder: int, eh: bytes) -> bytes:
    return derive(group, "sealed-shares", u16(holder), epoch=eh)


def slot_lane_key(group: bytes, lane: int, eh: bytes) -> bytes:
    return derive(group, "slot-mac", u16(lane), epoch=eh)


def sealed_shares_bound(eh: bytes, holder: int, round_: int, statement: bytes) -> bytes:
    """Return the associated data of the shares that a holder seals for all members."""
    return tag("sealed-shares-seal") + prefixed(eh, u16(holder), u32(round_), statement)
