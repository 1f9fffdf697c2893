"""Parameters: profiles, thresholds, a site's floors, and the schema of a round's vector.

Spec: 02-protocol §1 (bounds), 01-wire §5 (schema). Bounds follow Bonawitz et al. 2017, theorem 6.5, tightened for the
survivors' signatures as the threat model explains.
"""

from collections.abc import Mapping
from enum import IntEnum
from math import isfinite
from typing import Annotated

from secagg.codec import U8, U32, Double, Nested, Record, Seq, record
from secagg.errors import HeadroomError, ParameterError

MIN_SITES = 3
MAX_ROUNDS = 1 << 12
MAX_SITE_ROUNDS = 1 << 14  # n * B: keeps every setup message below the frame limit of 4 MiB
MAX_RING_BITS = 64
MAX_LANES = 1 << 30
MAX_MAC_LANES = 64
MIN_FORGERY_BITS = 64
MAX_SEGMENTS = 4096
MAX_LEVELS = 1 << 62
MAX_ROTATION = 16
MAX_HOMOMORPHIC_SITES = 256  # so that all sealed shares of a round fit into one frame


class Profile(IntEnum):
    """The attackers that the protocol withstands; a site sets the minimum that it accepts."""

    SEMI_HONEST = 1
    MALICIOUS = 2


class LossRule(IntEnum):
    """The rule by which a lost site restricts the rest of a run, as two similar sums reveal their difference."""

    CONTINUE = 1
    PAUSE = 2
    ABORT = 3


PROFILES: Mapping[str, Profile] = {"malicious": Profile.MALICIOUS, "semi-honest": Profile.SEMI_HONEST}
LOSS_RULES: Mapping[str, LossRule] = {rule.name.lower(): rule for rule in LossRule}
"""The loss rules by the names that people use."""


class Beyond(IntEnum):
    """A site's treatment of a value beyond the clip: move it to the clip and count it, or decline."""

    CLIP = 1
    REFUSE = 2


class Rounding(IntEnum):
    """The rounding of a value between two levels: to the nearer one, or to a random one with the value as mean."""

    NEAREST = 1
    STOCHASTIC = 2


def default_threshold(sites: int, profile: Profile) -> int:
    """Return t: floor(2n/3) + 1 against a malicious coordinator, floor(n/2) + 1 against a semi-honest one."""
    return 2 * sites // 3 + 1 if profile is Profile.MALICIOUS else sites // 2 + 1


def default_colluders(sites: int, profile: Profile) -> int:
    """Return n_C, the sites that may collude with relay and coordinator: ceil(n/3) - 1, or none if semi-honest."""
    return (sites + 2) // 3 - 1 if profile is Profile.MALICIOUS else 0


def least_survivors(threshold: int, colluders: int) -> int:
    """Return a, the minimum number of survivors: sums of fewer sites are never opened."""
    return max(threshold, colluders + 2, MIN_SITES)


@record
class Floors(Record):
    """A site's minimum requirements, whatever the coordinator proposes. Never sent to anyone.

    Attributes:
        profile: weakest acceptable profile.
        sites: minimum number of sites in a roster.
        survivors: minimum number of sites in any sum.
        colluders_one_in: k, if the manifest must tolerate at least ceil(n / k) - 1 colluders (malicious profile).
    """

    profile: Profile = Profile.MALICIOUS
    sites: Annotated[int, U32] = MIN_SITES
    survivors: Annotated[int, U32] = MIN_SITES
    colluders_one_in: Annotated[int, U32] = 3


@record
class Segment(Record):
    """`count` consecutive entries with the same clip and step.

    A value x becomes an integer next to x / step, of absolute value at most `bound`; `levels` is round(clip / step).
    With a `rotation` of k > 0 the values are those of the rotated entries, in blocks of 2^k (`secagg.rotation`).
    """

    count: Annotated[int, U32]
    clip: Annotated[float, Double()]
    step: Annotated[float, Double()]
    beyond: Beyond = Beyond.CLIP
    rounding: Rounding = Rounding.NEAREST
    rotation: Annotated[int, U8] = 0

    @property
    def levels(self) -> int:
        return round(self.clip / self.step)

    @property
    def bound(self) -> int:
        """The largest integer: random rounding can reach the level above a clip that lies between two levels."""
        return self.levels + (self.rounding is Rounding.STOCHASTIC)

    def check(self) -> None:
        """Raise ParameterError unless the segment can be quantised."""
        if self.count < 1:
            raise ParameterError("a segment must have at least one entry")
        if not (self.clip > 0 and self.step > 0 and isfinite(self.clip / self.step)):
            raise ParameterError("clip and step of a segment must be positive")
        if not 1 <= self.levels <= MAX_LEVELS:
            raise ParameterError(f"clip / step must be between 1 and 2^62, got {self.clip / self.step:.3g}")
        if self.rotation > MAX_ROTATION:
            raise ParameterError(f"a rotation's block may have at most 2^{MAX_ROTATION} entries")


@record
class Schema(Record):
    """The form of one round's vector: its segments, the ring, and the lanes that authenticate the sum."""

    ring_bits: Annotated[int, U8]
    mac_lanes: Annotated[int, U8]
    segments: Annotated[tuple[Segment, ...], Seq(Nested(Segment), MAX_SEGMENTS)]

    @property
    def length(self) -> int:
        """Number m of entries."""
        return sum(segment.count for segment in self.segments)

    def check(self, parties: int) -> None:
        """Check that the sum of this many vectors fits, whatever the values.

        Raises:
            ParameterError: sizes, clips or lanes are out of range.
            HeadroomError: parties * bound >= 2^(ring_bits - 1) for a segment.
        """
        for segment in self.segments:
            segment.check()
        if not 1 <= self.length <= MAX_LANES:
            raise ParameterError(f"a vector must have 1 to {MAX_LANES} entries, got {self.length}")
        if not 2 <= self.ring_bits <= MAX_RING_BITS:
            raise ParameterError(f"the ring must have 2 to {MAX_RING_BITS} bits, got {self.ring_bits}")
        # A forged sum passes one 64-bit lane with probability at most 2^-(65-b); together the lanes must reach 2^-64.
        if self.mac_lanes and self.mac_lanes * (65 - self.ring_bits) < MIN_FORGERY_BITS:
            raise ParameterError(f"{self.mac_lanes} lanes are too few to authenticate a ring of {self.ring_bits} bits")
        if self.mac_lanes > MAX_MAC_LANES:
            raise ParameterError(f"at most {MAX_MAC_LANES} lanes are allowed")
        if (needed := max(ring_bits_for(segment.bound, parties) for segment in self.segments)) > self.ring_bits:
            raise HeadroomError(f"the sum of {parties} vectors needs {needed} bits, but the ring has {self.ring_bits}")


def mac_lanes_for(ring_bits: int) -> int:
    """Return the number of 64-bit lanes that keep the probability of a forged sum below 2^-64."""
    return -(-MIN_FORGERY_BITS // (65 - ring_bits))


def ring_bits_for(bound: int, parties: int) -> int:
    """Return the least b with parties * bound < 2^(b-1): the centred sum of this many values up to `bound` fits.

    Raises:
        HeadroomError: 64 bits are not enough.
    """
    bits = (parties * bound).bit_length() + 1
    if bits > MAX_RING_BITS:
        raise HeadroomError(
            f"{parties} values of up to {bound} need {bits} bits, but the ring has at most {MAX_RING_BITS}: "
            "choose a coarser step, a smaller clip or fewer parties"
        )
    return bits
