"""How do homomorphic sums compare in cost with TenSEAL as commonly used, with masks alone, and with a study?

As commonly used: CKKS of degree 8,192, [60, 40, 40, 60], scale 2^40, one vector, the public key of a context that all
share. Ours: 20-bit values in a cohort of 200, hence 28 bits with head-room for the sum. Sums are checked before any
timing.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tenseal
from numpy.typing import NDArray

from bench import kahe
from bench.measure import Row, against, in_words, interleaved
from secagg.he import slots as sl
from secagg.he.bfv import BfvKey
from secagg.he.parameters import SUMS
from secagg.he.slots import SlotLayout
from secagg.masks import Mask, apply
from secagg.packing import pack
from secagg.params import Schema, Segment, ring_bits_for
from secagg.protocol.encrypted_vector import (
    EncryptedVector,
    GroupKeys,
    contribute_encrypted,
    open_ciphertexts,
    open_sum,
)
from secagg.quantize import Coins, quantize

SITES = 200
LEVELS = 2**19 - 1
KEY = bytes(32)
_ROUND = {100_000: 5, 1_000_000: 2}  # number of sites in the timed round, by length
_REPETITIONS = {100_000: 7, 1_000_000: 3}


def rows() -> list[Row]:
    return [row for length in _ROUND for row in _rows(length)]


def _rows(length: int) -> list[Row]:
    bits = ring_bits_for(LEVELS, SITES)
    schema = Schema(ring_bits=bits, mac_lanes=2, segments=(Segment(count=length, clip=1.0, step=1 / LEVELS),))
    reals, theirs = np.sin(np.arange(length, dtype=np.float64)), _Common()
    values, layout, key = quantize(reals, schema).values, SlotLayout(schema, SUMS), BfvKey(KEY, SUMS)
    ours = _encrypted(values, layout, key)
    common = theirs.encrypt(reals)
    name, title = f"{length:,} entries", "TenSEAL as commonly used"
    ratio = len(common) / len(ours)
    found = [
        Row(
            f"{name}: bytes an entry",
            f">= 7 x fewer than {title}",
            f"{ratio:.1f} x ({len(ours) / length:.2f}, {title} {len(common) / length:.1f}; masks alone {bits / 8:.2f})",
            ratio >= 7,
            {"ours": len(ours) / length, "theirs": len(common) / length},
        )
    ]
    seconds = interleaved(
        {
            "ours": lambda: _encrypted(values, layout, key),
            "theirs": lambda: theirs.encrypt(reals),
            "masks": lambda: _masked(values, bits),
            "study": lambda: _studied(values),
        },
        repetitions=_REPETITIONS[length],
    )
    found.append(against(f"{name}: encrypt and serialise", title, seconds["ours"], seconds["theirs"], least=4))
    sites = _ROUND[length]
    ours_s, theirs_s = _round(reals, schema, sites), theirs.round(reals, sites)
    whole = interleaved({"ours": ours_s, "theirs": theirs_s}, repetitions=3)
    found.append(against(f"{name}: a whole round of {sites}", title, whole["ours"], whole["theirs"], least=3))
    found.append(
        Row(
            f"{name}: one mask and packing, as in protocol 1",
            "",
            in_words(seconds["masks"]),
            None,
            {"s": seconds["masks"]},
        )
    )
    found.append(
        Row(
            f"{name}: additive ring-LWE in Numba (study)",
            "",
            f"{in_words(seconds['study'])}, {kahe.RING.bytes_an_entry:.2f} bytes an entry",
            None,
            {"s": seconds["study"], "bytes": kahe.RING.bytes_an_entry},
        )
    )
    return found


class _Common:
    """TenSEAL as commonly used."""

    def __init__(self) -> None:
        self.context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
        self.context.global_scale = 2.0**40

    def encrypt(self, reals: NDArray[np.float64]) -> bytes:
        return bytes(tenseal.ckks_vector(self.context, reals.tolist()).serialize())

    def round(self, reals: NDArray[np.float64], sites: int) -> Callable[[], None]:
        def run() -> None:
            total = None
            for data in (self.encrypt(reals) for _ in range(sites)):
                vector = tenseal.ckks_vector_from(self.context, data)
                total = vector if total is None else total + vector
            opened = np.array(total.decrypt())  # type: ignore[union-attr]
            if not np.allclose(opened, reals * sites, atol=1e-3):
                raise AssertionError("the sum is wrong; a time without a result means nothing")

        return run


def _encrypted(values: NDArray[np.int64], layout: SlotLayout, key: BfvKey) -> bytes:
    """Return the values packed, encrypted and serialised."""
    packed, parts = sl.pack_values(values, layout), []
    for start in range(0, layout.ciphertexts * SUMS.degree, SUMS.degree):
        filled = np.zeros(SUMS.degree, np.uint64)
        filled[: len(packed) - start] = packed[start : start + SUMS.degree]
        parts.append(key.encrypt(filled).encode())
    return b"".join(parts)


def _round(reals: NDArray[np.float64], schema: Schema, sites: int) -> Callable[[], None]:
    """Return a whole round: sites quantise, authenticate, mask, encrypt and seal; the server adds and opens the sum."""
    sealing, coins = GroupKeys.of(KEY, schema.mac_lanes, KEY), Coins(KEY, KEY)
    own = [Mask(key=i.to_bytes(32, "big"), negate=False) for i in range(sites)]
    pairs = [Mask(key=(sites + i).to_bytes(32, "big"), negate=False) for i in range(sites)]

    def masks(site: int) -> Sequence[Mask]:
        before, after = pairs[site - 1], pairs[site]  # a ring, so that masks cancel; real rounds have n - 1 a site
        return (own[site], after, Mask(key=before.key, negate=True))

    def run() -> None:
        total = EncryptedVector.zeros(schema)
        for site in range(sites):
            made = contribute_encrypted(reals, schema, masks(site), sealing, coins, upload_key=KEY, associated=b"")
            total.add(open_ciphertexts(b"".join(made.sealed.chunks), schema, KEY, b"", made.sealed.root))
        opened = open_sum(total, own, sealing)
        if not np.array_equal(opened, quantize(reals, schema).values * sites):
            raise AssertionError("the sum is wrong; a time without a result means nothing")

    return run


def _masked(values: NDArray[np.int64], bits: int) -> bytes:
    elements = values.astype(np.uint32)
    apply(elements, [Mask(key=KEY, negate=False)])
    return pack(elements, bits)


def _studied(values: NDArray[np.int64]) -> float:
    """Time encryption and packing in the study's ring, whose messages are packed as residues."""
    ring = kahe.RING
    size = ring.degree * ring.packed
    padded = np.zeros(-(-len(values) // size) * size, np.int64)
    padded[: len(values)] = values
    digits = padded.reshape(-1, ring.degree, ring.packed) & (1 << ring.bits) - 1
    parts = np.empty((len(digits), len(ring.primes), ring.degree), np.uint64)
    for i, p in enumerate(ring.primes):
        total = digits[:, :, 0].copy()
        for j in range(1, ring.packed):
            low = digits[:, :, j] * (pow(2, ring.bits * j, p) & (1 << 32) - 1) % p
            high = digits[:, :, j] * (pow(2, ring.bits * j, p) >> 32) % p * (1 << 13) % p * (1 << 13) % p * (1 << 6) % p
            total = (total + low + high) % p
        parts[:, i] = total.astype(np.uint64)
    made = kahe.encrypt_residues(ring, KEY, bytes([1]) * 32, bytes([2]) * 32, parts)
    packed = [pack(np.ascontiguousarray(polynomial), 50) for ciphertext in made for polynomial in ciphertext]
    return sum(map(len, packed)) / len(values)
