"""A site's contribution to a round, computed slice by slice: quantise, authenticate, mask, pack, seal.

Spec: 02-protocol §6. Besides the incoming vector and the outgoing sealed chunks, only one slice is in memory, so that a
hundred million entries need little memory beyond their own; a rotated vector needs a second copy.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import masks, ring
from secagg.masks import Mask
from secagg.packing import Lanes
from secagg.params import Schema
from secagg.protocol.ring_vector import CHUNK_LANES, SealedVector, first_lane, seal_slices
from secagg.quantize import Coins, quantize_slice, vector_of
from secagg.rotation import rotated


class Authenticate(Protocol):
    """Computes the lanes over consecutive integers of a vector, the first of which is entry `start`."""

    def __call__(self, values: NDArray[np.int64], *, start: int) -> list[int]: ...


class Contribution(NamedTuple):
    """A masked vector as sent, and how many of its values were moved to the clip."""

    sealed: SealedVector
    clipped: int


def contribute(
    vector: ArrayLike,
    schema: Schema,
    keys: Sequence[Mask],
    authenticate: Authenticate,
    coins: Coins,
    *,
    site: int,
    upload_key: bytes,
    associated: bytes,
) -> Contribution:
    """Compute the contribution of a vector.

    Args:
        vector: (m,) finite numbers, m the schema's length; may be a memory map.
        site: index of the site, marked in the lanes.
        associated: associated data that says what the sealed vector is.

    Raises:
        ParameterError: wrong length, NaN or infinity, or values that the schema refuses.
    """
    reals = rotated(vector_of(vector, schema.length), schema.segments, coins.rotation)
    lanes = np.array(authenticate(np.ones(1, np.int64), start=schema.length + site - 1), np.uint64)
    clipped = 0

    def slices() -> Iterator[Lanes]:
        nonlocal clipped
        for start in range(0, schema.length, CHUNK_LANES):
            part = quantize_slice(reals[start : start + CHUNK_LANES], schema, start, coins.rounding)
            clipped += part.clipped
            np.add(lanes, np.array(authenticate(part.values, start=start), np.uint64), out=lanes)
            elements = ring.embed(part.values, schema.ring_bits)
            masks.apply(elements, keys, start=start)
            yield elements

    def masked_lanes() -> NDArray[np.uint64]:
        masks.apply(lanes, keys, start=first_lane(schema))
        return lanes

    sealed = seal_slices(slices(), masked_lanes, schema, upload_key, associated)
    return Contribution(sealed, clipped)
