"""Our side of the comparisons, using only public functions."""

from collections.abc import Iterable
from functools import cache
from itertools import islice

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from bench.measure import interleaved, seconds_of
from bench.workers.pipe import serve
from bench.workers.work import CLIP, VALUE_BITS, left, seeds, vector
from secagg import envelope, keys, packing, shamir
from secagg.masks import Mask, add_keystream, apply
from secagg.packing import Lanes, pack, unpack
from secagg.protocol import participant_setup
from secagg.quantize import Quantizer
from secagg.simulate import simulate

CHECKED_BY_ALL = (
    (envelope, "verify"),
    (keys, "check_curve_key"),
    (participant_setup, "check_curve_key"),
    (participant_setup, "check_kem_key"),
)


def masked(values: np.ndarray, masks: list[Mask], n: int) -> bytes:
    """Quantise, add all masks, pack to the ring's bits."""
    quantizer = Quantizer(CLIP, VALUE_BITS, n)
    lanes, _ = quantizer.encode(values)
    apply(lanes, masks)
    return pack(lanes, quantizer.ring_bits)


def added(acc: Lanes, uploads: list[bytes], bits: int) -> None:
    for upload in uploads:
        np.add(acc, unpack(upload, bits, len(acc)), out=acc)


def keystream(size: int) -> dict[str, float]:
    """Return the seconds to add the keystream to 32-bit lanes, and those of OpenSSL's keystream alone."""
    acc, key = np.zeros(size // 4, np.uint32), bytes(range(32))
    zeros, out = bytes(size), bytearray(size + 15)

    def openssl() -> None:
        Cipher(AES256(key), CTR(bytes(16))).encryptor().update_into(zeros, out)

    return interleaved({"ours": lambda: add_keystream(acc, key), "openssl": openssl}, repetitions=300, warm=20)


def client(n: int, d: int) -> float:
    values, masks = vector(0, d), _masks(seeds(0, n))
    return seconds_of(lambda: masked(values, masks, n))


def server(n: int, d: int, lost: int) -> float:
    """Return the seconds to unpack and add the survivors' uploads and remove all masks that are left."""
    bits = Quantizer(CLIP, VALUE_BITS, n).ring_bits
    upload = masked(vector(0, d), [], n)
    masks = _masks(left(n, lost))
    acc = np.zeros(d, packing.lane_dtype(bits))

    def work() -> None:
        added(acc, [upload] * (n - lost), bits)
        apply(acc, masks, remove=True)

    return seconds_of(work)


def total(n: int, d: int, lost: int) -> list[float]:
    """Return the sum of all vectors except the lost ones, computed with every mask."""
    quantizer = Quantizer(CLIP, VALUE_BITS, n)
    acc = np.zeros(d, packing.lane_dtype(quantizer.ring_bits))
    added(acc, [masked(vector(u, d), _masks(seeds(u, n)), n) for u in range(lost, n)], quantizer.ring_bits)
    apply(acc, _masks(left(n, lost)), remove=True)
    return quantizer.decode(acc).tolist()


def split_and_combine(secret: str, holders: int, threshold: int) -> float:
    """Return the seconds for both, after checking that the secret was recovered."""
    data, rand, points = bytes.fromhex(secret), bytes(range(32)), range(1, holders + 1)

    def work() -> bytes:
        shares = shamir.split(data, threshold=threshold, holders=points, rand=rand)
        return shamir.combine(dict(islice(zip(points, shares, strict=True), threshold)), threshold)

    if work() != data:
        raise AssertionError("the secret did not come back")
    return seconds_of(work)


def cohort(n: int, d: int, lost: int) -> dict[str, dict[str, float]]:
    """Return the whole protocol's seconds by role and phase, after checking the sum.

    To save time, each signature and public key is checked only once in this process, not again by each of n sites. The
    coordinator checks them first, so its time is right; the sites' times are too low.
    """
    for module, name in CHECKED_BY_ALL:
        check = getattr(module, name)
        setattr(module, name, check if hasattr(check, "cache_info") else cache(check))
    rows = np.array([vector(u, d) for u in range(n)])
    result = simulate(rows, clip=CLIP, value_bits=VALUE_BITS, drop_before_upload=range(lost))
    bound = 1.001 * (n - lost) * CLIP / (2**VALUE_BITS - 2)
    if np.abs(result.total - rows[lost:].sum(axis=0)).max() > bound:
        raise AssertionError("the sum is wrong; a time without a result means nothing")
    return result.seconds


def plain(n: int, d: int) -> dict[str, float]:
    """Return the seconds of a sum that hides nothing: float32 to bytes at the client, then parsed and added."""
    values = vector(0, d)
    sent = values.astype("<f4").tobytes()
    acc = np.zeros(d)

    def server_side() -> None:
        for _ in range(n):
            np.add(acc, np.frombuffer(sent, "<f4"), out=acc)

    return {"client": seconds_of(lambda: values.astype("<f4").tobytes()), "server": seconds_of(server_side)}


def _masks(keys: Iterable[tuple[bytes, bool]]) -> list[Mask]:
    return [Mask(key=key, negate=negate) for key, negate in keys]


if __name__ == "__main__":
    serve(
        {
            "keystream": keystream,
            "client": client,
            "server": server,
            "total": total,
            "split_and_combine": split_and_combine,
            "cohort": cohort,
            "plain": plain,
        }
    )
