"""A dishonest dealer: its slots and vaults, changed and signed again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from secagg import merkle
from secagg.keys import seal, unseal
from secagg.messages import ProvenShareSlot, ShareList, SharePackage, Shares, ShareSlot
from secagg.protocol import derivations as d
from tests.support.playbook import Parcel, Play, listing


def package_of(play: Play, dealer: int) -> SharePackage:
    return SharePackage.decode(play.parcel(Shares, dealer).payload)


def slot_of(play: Play, dealer: int, holder: int = 1) -> ShareSlot:
    return ShareSlot.decode(package_of(play, dealer).slots[holder])


def dealt(
    play: Play,
    dealer: int,
    *,
    slots: Mapping[int, ShareSlot] | None = None,
    vaults: Sequence[bytes] | None = None,
    **header: object,
) -> Parcel:
    """Return a dealer's Shares with other slots or vaults, whose true hashes it signs."""
    package, state = package_of(play, dealer), play.state(dealer)
    changed = {holder: slot.encode() for holder, slot in (slots or {}).items()}
    package = replace(package, slots={**package.slots, **changed}, vaults=tuple(vaults or package.vaults))
    header = {
        "root": merkle.root(package.slots.values()),
        "vault_hashes": tuple(
            d.vault_hash(state.membership.epoch, dealer, round_, vault)
            for round_, vault in zip(state.membership.rounds, package.vaults, strict=True)
        ),
    } | header
    return play.forge(Shares, dealer, payload=package.encode(), **header)


def shown(play: Play, dealer: int, slot: ShareSlot, *, holder: int = 1, **header: object) -> Parcel:
    """Return a list of shares with another dealer-signed slot for a holder, bypassing the coordinator's checks."""
    slots = {**package_of(play, dealer).slots, holder: slot.encode()}
    tree = merkle.Tree(slots.values())
    forged = play.forge(Shares, dealer, root=tree.root, **header).frame
    headers = tuple(forged if frame.sender == dealer else frame for frame in play.listed(ShareList, to=holder))
    proven = ProvenShareSlot(slot=slot.encode(), path=tree.paths()[list(slots).index(holder)])
    others = play.message(ShareList, to=holder).slots
    return play.forge(ShareList, to=holder, headers=listing(headers), slots={**others, dealer: proven.encode()})


def resealed(play: Play, dealer: int, holder: int, change: Callable[[bytes], bytes]) -> ShareSlot:
    """Return a slot with a changed plaintext under the right key and unchanged leaf hashes."""
    state, slot = play.state(holder), slot_of(play, dealer, holder)
    bound = d.share_bound(state.membership.epoch, dealer, holder, state.membership.rounds)
    key = state.share_keys[dealer]
    return replace(slot, sealed=seal(key, change(unseal(key, slot.sealed, bound)), bound))


def redealt(play: Play, dealer: int, holder: int, change: Callable[[bytes], bytes]) -> ShareSlot:
    """Return a slot with changed shares under the right key and matching leaf hashes."""
    eh, rounds = play.state(holder).membership.epoch, play.state(holder).membership.rounds
    slot = resealed(play, dealer, holder, lambda plain: change(plain[:-32]) + plain[-32:])
    plain = unseal(play.state(holder).share_keys[dealer], slot.sealed, d.share_bound(eh, dealer, holder, rounds))
    return replace(slot, leaves=d.share_leaves(eh, dealer, holder, rounds, plain[:-32]))


def flipped(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
