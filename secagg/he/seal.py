"""The bytes exchanged with SEAL and TenSEAL: contexts with our own secret key, ciphertexts from and to residues.

SEAL's files have a 16-byte header (magic, version, compression, length) followed by little-endian words; TenSEAL wraps
them in Protocol Buffers. Everything read here was written by TenSEAL in this process; everything passed to it is
uncompressed and generated here, from residues that `secagg.he.ciphertext` has checked. So no byte from another party
reaches SEAL's parsers.
"""

from struct import pack

import numpy as np
import zstandard
from numpy.typing import NDArray

from secagg.he.parameters import BFV, HeParameters

_MAGIC, _HEADER_BYTES, _VERSION = b"\x5e\xa1", 16, b"\x04\x03"
_SYMMETRIC = 1


def context_bytes(parameters: HeParameters, secret: list[NDArray[np.uint64]]) -> bytes:
    """Return a context with the parameters and the transforms of the secret polynomial, one for each prime."""
    words = np.concatenate(secret)
    key = parameters.identity(parameters.primes) + pack("<Qd", len(words), 1.0) + _array(words)
    moduli = b"".join(_sealed(pack("<Q", prime)) for prime in (*parameters.primes, parameters.plain_modulus))
    terms = pack("<BQQ", BFV, parameters.degree, len(parameters.primes)) + moduli
    public = b"\x10\x01\x19" + pack("<d", -1.0)  # flag 1: relinearise, which is never used; then "no scale"
    return (
        _field(1, _sealed(terms))
        + _field(2, public)
        + _field(3, _field(1, _sealed(key)))
        + pack("2B", 4 << 3, _SYMMETRIC)
    )


def vector_bytes(parameters: HeParameters, residues: NDArray[np.uint64], slots: int) -> bytes:
    """Return TenSEAL's vector of one ciphertext."""
    name = parameters.identity(parameters.levels)
    facts = pack("<BQQQdQ", 0, 2, parameters.degree, len(parameters.levels), 1.0, 1)
    return _field(1, _varint(slots)) + _field(2, _sealed(name + facts + _array(residues.reshape(-1))))


def residues_of(vector: bytes, parameters: HeParameters) -> NDArray[np.uint64]:
    """Return the residues of the only ciphertext in a vector serialised by TenSEAL in this process."""
    ciphertext = _content(vector, 2)
    shape = (2, len(parameters.levels), parameters.degree)
    words = zstandard.ZstdDecompressor().decompressobj().decompress(ciphertext[_HEADER_BYTES:])
    return np.frombuffer(words, "<u8", shape[0] * shape[1] * shape[2], len(words) - 8 * int(np.prod(shape))).reshape(
        shape
    )


def _sealed(content: bytes) -> bytes:
    return _MAGIC + bytes([_HEADER_BYTES]) + _VERSION + bytes(3) + pack("<Q", _HEADER_BYTES + len(content)) + content


def _array(words: NDArray[np.uint64]) -> bytes:
    return _sealed(pack("<Q", len(words)) + words.astype("<u8", copy=False).tobytes())


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _content(data: bytes, number: int) -> bytes:
    """Return a message's first field with this number; all fields before it are bytes too."""
    at = 0
    while True:
        found, size, shift, at = data[at] >> 3, 0, 0, at + 1
        while True:
            size |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                break
        if found == number:
            return data[at : at + size]
        at += size
