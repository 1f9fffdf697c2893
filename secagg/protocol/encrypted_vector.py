"""Vectors of a homomorphic epoch: slots with their lanes, masked, encrypted, and sealed ciphertext by ciphertext.

Spec: 01-wire §5, 02-protocol §11. A chunk is one ciphertext. Like a ring vector it is created, sent, checked and added
piece by piece, and the signed digest is the Merkle root over the chunks before sealing. Adding only needs arrays;
TenSEAL is loaded when something is encrypted or opened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import he, merkle
from secagg.codec import prefixed, tag, u32
from secagg.errors import ParameterError
from secagg.he import slots as sl
from secagg.he.ciphertext import Ciphertext, CiphertextError
from secagg.he.parameters import SUMS
from secagg.he.slots import SlotLayout
from secagg.keys import TAG_BYTES, UnsealError, seal, unseal
from secagg.masks import Mask
from secagg.params import Schema
from secagg.protocol import derivations as d
from secagg.protocol.contribution import Contribution
from secagg.protocol.ring_vector import SealedVector, VectorError
from secagg.quantize import Coins, quantize_slice, vector_of
from secagg.rotation import rotated


class GroupKeys(NamedTuple):
    """The values that members derive from their key of a round: the seed of the secret key, and one key per lane."""

    he_seed: bytes
    lanes: tuple[bytes, ...]

    @classmethod
    def of(cls, group: bytes, lanes: int, epoch: bytes) -> Self:
        return cls(d.he_seed(group, epoch), tuple(d.slot_lane_key(group, lane, epoch) for lane in range(lanes)))


@dataclass(frozen=True, slots=True)
class EncryptedVector:
    """The ciphertexts of one vector, or of a sum of vectors."""

    schema: Schema
    ciphertexts: tuple[Ciphertext, ...] = field(repr=False)

    @classmethod
    def zeros(cls, schema: Schema) -> Self:
        count = SlotLayout(schema, SUMS).ciphertexts
        return cls(schema, tuple(Ciphertext.zero(SUMS) for _ in range(count)))

    def add(self, other: "EncryptedVector") -> None:
        """Add another vector of the same schema in place.

        Raises:
            ParameterError: its schema differs.
        """
        if other.schema != self.schema:
            raise ParameterError("vectors of different schemas cannot be added")
        for mine, theirs in zip(self.ciphertexts, other.ciphertexts, strict=True):
            mine.add(theirs)


def contribute_encrypted(
    vector: ArrayLike,
    schema: Schema,
    masks: Sequence[Mask],
    keys: GroupKeys,
    coins: Coins,
    *,
    upload_key: bytes,
    associated: bytes,
) -> Contribution:
    """Compute the contribution of a vector: quantise, pack, authenticate, mask modulo t, encrypt, seal.

    Arguments and errors are those of `secagg.protocol.contribution.contribute`.
    """
    layout = SlotLayout(schema, SUMS)
    reals = rotated(vector_of(vector, schema.length), schema.segments, coins.rotation)
    he_key, clipped, lanes = he.bfv.BfvKey(keys.he_seed, SUMS), 0, [0] * layout.lanes

    def ciphertexts() -> Iterator[bytes]:
        nonlocal clipped
        for number in range(layout.ciphertexts):
            start, first = number * SUMS.degree, number * layout.values_a_ciphertext
            part = quantize_slice(reals[first : first + layout.values_a_ciphertext], schema, first, coins.rounding)
            clipped += part.clipped
            packed = sl.pack_values(part.values, layout)
            for lane, more in enumerate(sl.lanes(keys.lanes, packed, SUMS.plain_modulus, start=start)):
                lanes[lane] = (lanes[lane] + more) % SUMS.plain_modulus
            filled = np.zeros(SUMS.degree, np.uint64)
            filled[: len(packed)] = packed
            for lane, total in enumerate(lanes):  # complete once the position of the lanes is reached
                if 0 <= (place := layout.value_slots + lane - start) < SUMS.degree:
                    filled[place] = total
            sl.mask(filled, masks, SUMS.plain_modulus, start=start)
            yield he_key.encrypt(filled).encode()

    return Contribution(_sealed(ciphertexts(), layout.ciphertexts, upload_key, associated), clipped)


def seal_ciphertexts(vector: EncryptedVector, key: bytes, associated: bytes) -> SealedVector:
    """Seal a vector under a single-use key; `associated` says what it is."""
    return _sealed((one.encode() for one in vector.ciphertexts), len(vector.ciphertexts), key, associated)


def sealed_bytes(schema: Schema) -> int:
    """Return the length of a sealed encrypted vector's payload."""
    return SlotLayout(schema, SUMS).ciphertexts * (SUMS.ciphertext_bytes + TAG_BYTES)


def open_ciphertexts(payload: bytes, schema: Schema, key: bytes, associated: bytes, root: bytes) -> EncryptedVector:
    """Return the encrypted vector of a payload; the counterpart of `secagg.protocol.ring_vector.open_vector`.

    Raises:
        VectorError: wrong length, seal or digest, or an invalid ciphertext; nothing was added to a total.
    """
    count, size = SlotLayout(schema, SUMS).ciphertexts, SUMS.ciphertext_bytes
    if len(payload) != sealed_bytes(schema):
        raise VectorError("the length of the sealed vector does not match its schema")
    found, view = list[Ciphertext](), memoryview(payload)

    def chunks() -> Iterator[bytes]:
        for number in range(count):
            sealed = view[number * (size + TAG_BYTES) : (number + 1) * (size + TAG_BYTES)]
            try:
                chunk = unseal(key, bytes(sealed), _bound(associated, count), number=number)
                found.append(Ciphertext.decode(chunk, SUMS))
            except (UnsealError, CiphertextError) as error:
                raise VectorError(f"chunk {number} of the sealed vector does not open") from error
            yield chunk

    if merkle.root(chunks()) != root:
        raise VectorError("the sealed vector does not match the signed digest")
    return EncryptedVector(schema, tuple(found))


def open_sum(total: EncryptedVector, masks: Sequence[Mask], keys: GroupKeys) -> NDArray[np.int64]:
    """Return the integers of a sum, which is decrypted and then freed of these masks.

    Raises:
        VectorError: the lanes do not match; the error reveals nothing about the values.
    """
    layout, he_key = SlotLayout(total.schema, SUMS), he.bfv.BfvKey(keys.he_seed, SUMS)
    opened = np.concatenate([he_key.open(ciphertext) for ciphertext in total.ciphertexts])
    sl.mask(opened, masks, SUMS.plain_modulus, remove=True)
    packed, rest = opened[: layout.value_slots], opened[layout.value_slots :]
    if sl.lanes(keys.lanes, packed, SUMS.plain_modulus) != rest[: layout.lanes].tolist() or rest[layout.lanes :].any():
        raise VectorError("the opened sum is not the sum of what the sites sent")
    return sl.unpack_values(packed, layout, layout.length)


def _sealed(chunks: Iterator[bytes], count: int, key: bytes, associated: bytes) -> SealedVector:
    sealed: list[bytes] = []

    def kept() -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            sealed.append(seal(key, chunk, _bound(associated, count), number=number))
            yield chunk

    return SealedVector(merkle.root(kept()), tuple(sealed))


def _bound(associated: bytes, chunks: int) -> bytes:
    return tag("vector") + prefixed(associated, u32(chunks))
