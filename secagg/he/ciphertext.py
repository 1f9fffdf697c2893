"""Ciphertexts as arrays and as bytes: what the coordinator adds, and what nobody can make a library stumble over.

Spec: 02-protocol §11. A ciphertext is two polynomials modulo each prime of q. On the wire each coefficient has exactly
the bits of its prime and nothing else is there: no header, no context, no compression. So a ciphertext has one length,
and its one defect can be a residue that is not reduced; more polynomials than two, another degree or another level have
no encoding. Bytes from outside never reach a parser other than this.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from secagg import kernels, packing
from secagg.errors import ParameterError, SecaggError
from secagg.he.parameters import HeParameters, barrett


class CiphertextError(SecaggError):
    """The bytes are no ciphertext of these parameters: another length, or a residue that is not reduced."""


class Ciphertext:
    """One ciphertext, or a sum of several.

    Attributes:
        residues: (2, levels, N) uint64; polynomial, prime, coefficient; each below its prime.
    """

    __slots__ = ("parameters", "residues")

    def __init__(self, parameters: HeParameters, residues: NDArray[np.uint64]) -> None:
        if residues.shape != (2, len(parameters.levels), parameters.degree) or residues.dtype != np.uint64:
            raise ParameterError("a ciphertext has two polynomials modulo each prime")
        self.parameters = parameters
        self.residues = residues

    @classmethod
    def zero(cls, parameters: HeParameters) -> Self:
        return cls(parameters, np.zeros((2, len(parameters.levels), parameters.degree), np.uint64))

    def add(self, other: "Ciphertext") -> None:
        """Add another ciphertext in place.

        Raises:
            ParameterError: it is of other parameters.
        """
        if other.parameters != self.parameters:
            raise ParameterError("ciphertexts of two contexts have no sum")
        np.add(self.residues, other.residues, out=self.residues)
        primes = self._primes()
        np.minimum(self.residues, self.residues - primes, out=self.residues)

    def scaled(self, factor: int) -> "Ciphertext":
        """Return the ciphertext times an integer; the noise grows as its absolute value (`HeParameters.check`)."""
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
        """Return the ciphertext of `encode`.

        Raises:
            CiphertextError: another length, or a residue that is not reduced; found before anything is allocated, and
                in time linear in the length.
        """
        if len(data) != parameters.ciphertext_bytes:
            raise CiphertextError(f"a ciphertext has {parameters.ciphertext_bytes} bytes, got {len(data)}")
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
