"""The parameters of ring-LWE encryption: sizes, their security, and the noise left by n additions.

Spec: 02-protocol §11.

Security. For a ternary secret and noise of standard deviation 3.2, the table of HomomorphicEncryption.org (Albrecht et
al., Homomorphic Encryption Security Standard, 2018, table 1) allows a modulus of 109 bits at degree 4,096 and of 218 at
degree 8,192 for 128 bits of classical security, and 101 and 202 bits against quantum computers. Ciphertexts exist
modulo all primes but the last; the last belongs to key switching, which is not used, but TenSEAL counts it, and the
total stays within the table.

Noise of sums. A fresh ciphertext decrypts to Delta m + e modulo q, with Delta m rounded to the nearest integer and e
from a centred binomial distribution over 42 coins, so |e| <= 21 and the error of one ciphertext is at most 21.5. Errors
add up: after n additions the coefficient nearest to (q / t) m is the right one as long as n * 21.5 < q / (2 t). This is
a strict bound, not an estimate, and is checked before anything is encrypted.

Noise of products. Multiplying by a plaintext w with coefficients in (-t/2, t/2) increases the error at most N t / 2
times; multiplying by an integer c increases it |c| times, and likewise the rounding of Delta m.
"""

from dataclasses import dataclass
from hashlib import blake2b
from struct import pack

import numpy as np

from secagg.errors import HeadroomError, ParameterError

BFV = 1  # SEAL's number for the scheme
NOISE_BOUND = 21  # of the centred binomial distribution that SEAL draws fresh noise from
MOST_BITS = {4096: 109, 8192: 218}  # of all primes together, by degree, at 128 bits of security


@dataclass(frozen=True, slots=True)
class HeParameters:
    """A ring of degree N with a plaintext prime t and the primes of the ciphertext modulus.

    Attributes:
        plain_modulus: t, a prime = 1 mod 2 N, so that N slots are independent.
        primes: primes of the ciphertexts, followed by one for key switching.
    """

    degree: int
    plain_modulus: int
    primes: tuple[int, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """The primes of a ciphertext."""
        return self.primes[:-1]

    @property
    def modulus(self) -> int:
        """q, the product of the levels."""
        q = 1
        for prime in self.levels:
            q *= prime
        return q

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of one ciphertext: two polynomials, each coefficient in exactly the bits of its prime."""
        return 2 * sum(self.degree * prime.bit_length() // 8 for prime in self.levels)

    def identity(self, primes: tuple[int, ...]) -> bytes:
        """Return SEAL's name for these parameters modulo some of the primes."""
        words = (BFV, self.degree, *primes, self.plain_modulus)
        return blake2b(pack(f"<{len(words)}Q", *words), digest_size=32).digest()

    @property
    def most_additions(self) -> int:
        """Number of fresh ciphertexts that can be added without error, whatever their noise."""
        return (self.modulus // self.plain_modulus - 1) // (2 * NOISE_BOUND + 1)

    def check(self, additions: int, *, scale: int = 1, products: int = 0) -> None:
        """Check that a sum of this many ciphertexts can be opened after the coordinator has computed on it.

        Args:
            scale: largest integer, in absolute value, by which the coordinator multiplies.
            products: number of ciphertexts that the coordinator adds after multiplying by a vector; 0 for no product.

        Raises:
            ParameterError: the parameters are below 128 bits of security.
            HeadroomError: the noise could be too large; nothing was encrypted.
        """
        if sum(prime.bit_length() for prime in self.primes) > MOST_BITS.get(self.degree, 0):
            raise ParameterError(f"a modulus this large at degree {self.degree} gives less than 128 bits of security")
        noise = additions * (2 * NOISE_BOUND + 1) * abs(scale)
        if products:
            noise *= products * self.degree * self.plain_modulus // 2
        if noise * self.plain_modulus >= self.modulus:
            raise HeadroomError(
                f"the noise of {additions} ciphertexts could exceed what these parameters allow: "
                "choose fewer parties, smaller factors, or parameters with a larger modulus"
            )


SUMS = HeParameters(4096, 288230376151760897, (137438822401, 68719230977, 68719403009))
"""For sums: the fewest bytes. t = 2^58 + 49,153 holds two values of 29 bits, q has 73 bits, 762 additions are exact."""

PRODUCTS = HeParameters(
    8192, SUMS.plain_modulus, (288230376150876161, 288230376150712321, 288230376150630401, 17592186028033)
)
"""For one product of a sum with a plain vector: q has 174 bits."""


def barrett(modulus: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Return what `secagg.kernels.modular` needs: the modulus, floor(2^(2L) / modulus), and its bit length L."""
    bits = modulus.bit_length()
    return np.uint64(modulus), np.uint64((1 << 2 * bits) // modulus), np.uint64(bits)
