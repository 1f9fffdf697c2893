"""A finished epoch whose setup was skipped: the state of coordinator and sites after it, made up alike at both ends."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from bench.workers.work import CLIP, VALUE_BITS
from secagg.graph import COMPLETE
from secagg.identity import Identity, Roster
from secagg.messages import HeldLeaves, SharePackage, ShareSlot
from secagg.params import Schema, Segment, mac_lanes_for, ring_bits_for
from secagg.protocol.coordinator_round import Dealer, Prepared
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.step import StepInputs

ROUND = 1
DEADLINE = 2**32
SEALED_BYTES = 2 * 32 + 32 + 16  # two shares, a key for the lanes, the tag


@dataclass(frozen=True)
class Epoch:
    """An epoch of one round with n sites and vectors of d entries."""

    n: int
    d: int

    @cached_property
    def coordinator(self) -> Identity:
        return Identity(_made_up("coordinator"))

    @cached_property
    def sites(self) -> list[Identity]:
        return sorted((Identity(_made_up("site", i)) for i in range(self.n)), key=lambda one: one.public)

    @cached_property
    def schema(self) -> Schema:
        levels = (1 << (VALUE_BITS - 1)) - 1
        bits = ring_bits_for(levels, self.n)
        return Schema(
            ring_bits=bits,
            mac_lanes=mac_lanes_for(bits),
            segments=(Segment(count=self.d, clip=CLIP, step=CLIP / levels),),
        )

    @cached_property
    def prepared(self) -> Prepared:
        """The coordinator's state before the round."""
        roster = Roster.of(bytes(16), b"memory", self.coordinator.public, (one.public for one in self.sites))
        plan = Plan(
            roster=roster, sites=roster.sites, run=bytes(16), rounds=1, setup_deadline=DEADLINE, expires=DEADLINE
        )
        joins = announce(plan, self.inputs()).state
        indices = tuple(range(1, self.n + 1))
        hashes = {site: (_made_up("dealer", site),) for site in indices}
        return Prepared(
            manifest=joins.manifest,
            epoch=joins.epoch,
            transcript=_made_up("transcript"),
            graph=COMPLETE,
            dealers={
                site: Dealer(self_commitments=one, vault_hashes=one, vault_commitments=one)
                for site, one in hashes.items()
            },
            channel_chains={site: self.chain(site) for site in indices},
            next_round=ROUND,
            survivors=indices,
        )

    def chain(self, site: int) -> bytes:
        return _made_up("chain", site)

    def package(self, dealer: int) -> SharePackage:
        """Return a dealer's package: shares of the real size, with meaningless content."""
        slot = ShareSlot(
            sealed=bytes(SEALED_BYTES), edges=(_made_up("edge", dealer),), leaves=(_made_up("leaf", dealer),) * 2
        )
        slots = dict.fromkeys(range(1, self.n + 1), slot.encode())
        return SharePackage(vaults=(bytes(32 * self.n + 16),), slots=slots)

    def leaves(self, holder: int) -> HeldLeaves:
        """Return placeholders, of the real size, for the leaves that check a holder's answers."""
        return HeldLeaves(dealers=dict.fromkeys(range(1, self.n + 1), _made_up("leaf", holder) * 2))

    def inputs(self) -> StepInputs:
        return StepInputs(identity=self.coordinator, rand=_made_up("rand"))


def _made_up(what: str, number: int = 0) -> bytes:
    return sha256(b"%s %d" % (what.encode(), number)).digest()
