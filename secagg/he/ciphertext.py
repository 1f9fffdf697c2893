"""Ciphertexts as arrays, which the coordinator adds, and as bytes, in a format that needs no library to parse.

Spec: 02-protocol §11. A ciphertext is two polynomials modulo each prime of q. On the wire each coefficient takes
exactly the bits of its prime, with no header, context or compression. So all ciphertexts have one length, and the only
possible defect is a residue that is not reduced; more than two polynomials, another degree or another level have no
encoding. Bytes from outside never reach any other parser.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from secagg import kernels, packing
from secagg.errors import ParameterError, SecaggError
from secagg.he.parameters import HeParameters, barrett


class CiphertextError(SecaggError):
    """The bytes are not a ciphertext with these parameters: wrong length, or a residue that is not reduced."""


class Ciphertext:
    """One ciphertext, or a sum of several.

    Attributes:
        residues: (2, levels, N) uint64; polynomial, prime, coefficient; each below its prime.
    """

    __slots__ = ("parameters", "residues")

    def __init__(self, parameters: HeParameters, residues: NDArray[np.uint64]) -> None:
        if residues.shape != (2, len(parameters.levels), parameters.degree) or residues.dtype != np.uint64:
            raise ParameterError("a ciphertext must have two polynomials modulo each prime")
        self.parameters = parameters
        self.residues = residues

    @classmethod
    def zero(cls, parameters: HeParameters) -> Self:
        return cls(parameters, np.zeros((2, len(parameters.levels), parameters.degree), np.uint64))

    def add(self, other: "Ciphertext") -> None:
        """Add another ciphertext in place.

        Raises:
            ParameterError: it has other parameters.
        """
        if other.parameters != self.parameters:
            raise ParameterError("ciphertexts of different contexts cannot be added")
        np.add(self.residues, other.residues, out=self.residues)
        primes = self._primes()
        np.minimum(self.residues, self.residues - primes, out=self.residues)

    def scaled(self, factor: int) -> "Ciphertext":
        """Return the ciphertext times an integer; the noise grows with its absolute value (`HeParameters.check`)."""
        rows = [
            [_times(self.residues[part, i], factor % prime, prime) for i, prime in enumerate(self.parameters.levels)]
            for part in range(2)
        ]
        return Ciphertext(self.parameters, np.array(rows, np.uint64))

    def encode(self) -> bytes:
        return b"".join(
            packing.pack(_lanes(self.residues[part, i], prime.bit_length()), prime.bit_length())
            for part in range(2)
            for i, prime in enumerate(self.parameters.levels)
        )

    @classmethod
    def decode(cls, data: bytes, parameters: HeParameters) -> Self:
        """Return the ciphertext encoded by `encode`.

        Raises:
            CiphertextError: wrong length, or a residue that is not reduced; detected before anything is allocated, in
                time linear in the length.
        """
        if len(data) != parameters.ciphertext_bytes:
            raise CiphertextError(f"a ciphertext must have {parameters.ciphertext_bytes} bytes, got {len(data)}")
        found = cls.zero(parameters)
        at = 0
        for part in range(2):
            for i, prime in enumerate(parameters.levels):
                bits = prime.bit_length()
                size = packing.packed_bytes(parameters.degree, bits)
                found.residues[part, i] = packing.unpack(data[at : at + size], bits, parameters.degree)
                at += size
                if (found.residues[part, i] >= prime).any():
                    raise CiphertextError("a coefficient of the ciphertext is not reduced")
        return found

    def _primes(self) -> NDArray[np.uint64]:
        return np.array(self.parameters.levels, np.uint64)[:, None]


def _lanes(residues: NDArray[np.uint64], bits: int) -> packing.Lanes:
    return np.ascontiguousarray(residues.astype(packing.lane_dtype(bits), copy=False))


def _times(residues: NDArray[np.uint64], factor: int, prime: int) -> NDArray[np.uint64]:
    out = np.empty_like(residues)
    kernels.modular.multiply(
        np.ascontiguousarray(residues), np.full(len(residues), factor, np.uint64), *barrett(prime), out
    )
    return out
