"""Keys: labelled derivation, the post-quantum hybrid pair secret, one-way ratchets, sealing.

Spec: 02-protocol §3. HKDF-SHA256 is RFC 5869, X25519 RFC 7748, ML-KEM-768 FIPS 203, AES-256-GCM SP 800-38D, all from
pyca/cryptography. Each key is derived with the epoch's hash as salt and its own label, and an AEAD key seals only one
message, so nonces can be constant.
"""

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secagg.codec import prefixed, tag, u16
from secagg.errors import SecaggError

KEY_BYTES = 32
X25519_BYTES = 32
KEM_SEED_BYTES = 64
KEM_PUBLIC_BYTES = 1184
KEM_CIPHERTEXT_BYTES = 1088
TAG_BYTES = 16

_CURVE_PRIME = 2**255 - 19
_SHA256 = SHA256()

Encapsulate = Callable[[bytes], tuple[bytes, bytes]]
"""Function from an ML-KEM-768 public key to (ciphertext, shared secret).

It is an argument of the steps that need it, because the library itself draws an encapsulation's randomness.
"""


class InvalidKeyError(SecaggError):
    """A public key or ciphertext violates the specification."""


class UnsealError(SecaggError):
    """The sealed bytes do not open under this key and associated data; the error says no more than that."""


def derive(key: bytes, label: str, *parts: bytes, epoch: bytes) -> bytes:
    """Return KDF(key, label, parts): 32 bytes of HKDF-SHA256 with the epoch's hash as salt and a tagged info."""
    return HKDF(_SHA256, KEY_BYTES, salt=epoch, info=tag(label) + prefixed(*parts)).derive(key)


class KeyAgreement:
    """A party's two private keys for an epoch: X25519 (32 bytes) and, for a site, the ML-KEM-768 seed (64 bytes)."""

    __slots__ = ("_curve", "_kem", "curve_public", "kem_public")

    def __init__(self, curve_private: bytes, kem_seed: bytes | None = None) -> None:
        self._curve = X25519PrivateKey.from_private_bytes(curve_private)
        self.curve_public = self._curve.public_key().public_bytes_raw()
        self._kem = None if kem_seed is None else MLKEM768PrivateKey.from_seed_bytes(kem_seed)
        self.kem_public = b"" if self._kem is None else self._kem.public_key().public_bytes_raw()

    def exchange(self, public: bytes) -> bytes:
        """Return the X25519 shared secret with a key that passes `check_curve_key`."""
        check_curve_key(public)  # so that the shared secret is not zero, whatever the private key
        return self._curve.exchange(X25519PublicKey.from_public_bytes(public))

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Return a ciphertext's shared secret; a wrong ciphertext gives an unrelated secret (implicit rejection)."""
        if self._kem is None:
            raise InvalidKeyError("the coordinator has no KEM key; it encapsulates to the sites")
        try:
            return self._kem.decapsulate(ciphertext)
        except ValueError as error:
            raise InvalidKeyError("the KEM ciphertext has the wrong length") from error


_PROBE = X25519PrivateKey.from_private_bytes(b"\x40" + bytes(31))


def check_curve_key(public: bytes) -> None:
    """Reject X25519 keys that are not canonical (RFC 7748 accepts and reduces them) or have low order.

    Raises:
        InvalidKeyError: wrong length, top bit set, u >= 2^255 - 19, or an all-zero shared secret with any private key.
    """
    if len(public) != X25519_BYTES or int.from_bytes(public, "little") >= _CURVE_PRIME:
        raise InvalidKeyError("the X25519 key is not canonical")
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise InvalidKeyError("the X25519 key is of low order") from error


def check_kem_key(public: bytes) -> None:
    """Reject ML-KEM-768 keys of wrong length or with a coefficient that is not reduced (FIPS 203 section 7.2).

    Raises:
        InvalidKeyError: in either case.
    """
    try:
        MLKEM768PublicKey.from_public_bytes(public)
    except ValueError as error:
        raise InvalidKeyError("the ML-KEM-768 key is not valid") from error


def encapsulate(kem_public: bytes) -> tuple[bytes, bytes]:
    """Return a fresh (ciphertext, shared secret) for a public key, using the operating system's randomness."""
    secret, ciphertext = MLKEM768PublicKey.from_public_bytes(kem_public).encapsulate()
    return ciphertext, secret


def pair_secret(
    curve_secret: bytes,
    kem_secret: bytes,
    *,
    epoch: bytes,
    low: tuple[int, bytes],
    high: tuple[int, bytes],
    high_kem_public: bytes,
    ciphertext: bytes,
) -> bytes:
    """Return P_uv: both secrets combined, bound to both parties' indices and keys and to the encapsulation.

    `low` and `high` are (index, X25519 key) of the two ends; the one with the lower index encapsulated to the other.
    The result is secret as long as X25519 or ML-KEM-768 holds.
    """
    return derive(
        curve_secret + kem_secret,
        "pair",
        u16(low[0]),
        u16(high[0]),
        low[1],
        high[1],
        high_kem_public,
        ciphertext,
        epoch=epoch,
    )


def seal(key: bytes, plaintext: bytes, associated: bytes, *, number: int = 0) -> bytes:
    """Return AES-256-GCM(key, plaintext): ciphertext and 16-byte tag. A key seals only one message.

    Args:
        number: nonce; 0, or the chunk's number if the message is sealed in chunks.
    """
    return AESGCM(key).encrypt(number.to_bytes(12, "big"), plaintext, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes, *, number: int = 0) -> bytes:
    """Return the plaintext of `seal`.

    Raises:
        UnsealError: the key, the associated data or the sealed bytes are not those of `seal`.
    """
    try:
        return AESGCM(key).decrypt(number.to_bytes(12, "big"), sealed, associated)
    except (InvalidTag, ValueError) as error:
        raise UnsealError from error
