"""Ed25519 identities, and the twelve words by which people compare a roster.

Spec: 01-wire §3, 02-protocol §2. libsodium signs and verifies; it also rejects small-order and non-canonical keys and
signatures (which RFC 8032 leaves open). Every signature covers a label first, so that a signature made for one purpose
is invalid for any other; HTTP request signatures (RFC 9421) use the same key and start with different bytes.
"""

from collections.abc import Iterable
from hashlib import scrypt
from typing import Annotated

from mnemonic import Mnemonic
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.public import SealedBox
from nacl.signing import SigningKey, VerifyKey

from secagg.codec import Fixed, Hash, Record, Seq, record, tag, tagged_hash
from secagg.errors import ParameterError, SecaggError

KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_SITES = 65_534  # 0 is the coordinator, 65,535 means everyone

PublicKey = Annotated[bytes, Fixed(KEY_BYTES)]

_WORDS = Mnemonic("english")
_KNOWN_WORDS = frozenset(_WORDS.wordlist)
_SLIPS = 2  # so few wrong words are a slip of the tongue or the hand, two of them perhaps swapped


class InvalidSignatureError(SecaggError):
    """The signature is not valid for this key, label and message. Callers raise an error that says who is to blame."""


class SealError(SecaggError):
    """The bytes are not a sealed box for this identity, or were changed."""


class Identity:
    """A site's or coordinator's long-term signing key.

    Args:
        seed: 32 secret random bytes, the Ed25519 private key of RFC 8032.

    Attributes:
        public: the 32-byte verify key, which names the party in rosters and manifests.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise ParameterError(f"an identity's seed must have {KEY_BYTES} bytes, got {len(seed)}")
        self._key = SigningKey(seed)
        self.public = bytes(self._key.verify_key)

    def sign(self, label: str, message: bytes) -> bytes:
        """Return the 64-byte signature over label and message."""
        return self._key.sign(tag(label) + message).signature

    def sign_request(self, base: bytes) -> bytes:
        """Return the 64-byte signature over the signature base of an HTTP request (RFC 9421), which has no label.

        Raises:
            ParameterError: the bytes are not a signature base, which, unlike any label, starts with a quotation mark.
        """
        if not base.startswith(b'"'):
            raise ParameterError("the bytes are not the signature base of an HTTP request")
        return self._key.sign(base).signature

    def secret(self, label: str) -> bytes:
        """Return 32 secret bytes derived from this identity and a label, the same on every machine that unlocks it."""
        return tagged_hash(label, bytes(self._key))

    def unseal(self, sealed: bytes) -> bytes:
        """Open a libsodium sealed box to the X25519 form of this identity; raises SealError."""
        try:
            return SealedBox(self._key.to_curve25519_private_key()).decrypt(sealed)
        except (CryptoError, ValueError, TypeError):
            raise SealError("the box is not sealed for this identity") from None

    def __repr__(self) -> str:
        return f"Identity({fingerprint(self.public)})"


def verify(public: bytes, label: str, message: bytes, signature: bytes) -> None:
    """Check a signature over label and message.

    Raises:
        InvalidSignatureError: the signature, or the key itself, is not valid.
    """
    try:
        VerifyKey(public).verify(tag(label) + message, signature)
    except (BadSignatureError, ValueError, TypeError) as error:
        raise InvalidSignatureError from error


def fingerprint(public: bytes) -> str:
    """Return a key's short name for people and logs: 16 hex digits. To compare keys, use `key_words`."""
    return tagged_hash("fingerprint", public).hex()[:16]


def key_words(public: bytes) -> str:
    """Return a key's twelve words, which both sides compare when a site enrols."""
    return _words(tagged_hash("key-words", public))


@record
class Roster(Record):
    """The roster that every officer confirms: the project, its terms' hash, the coordinator's key and all sites' keys.

    `sites` is ascending, so that a roster has one encoding and one fingerprint.
    """

    project: Annotated[bytes, Fixed(16)]
    terms: Hash
    coordinator: PublicKey
    sites: Annotated[tuple[bytes, ...], Seq(Fixed(KEY_BYTES), MAX_SITES)]

    @classmethod
    def of(cls, project: bytes, terms: bytes, coordinator: bytes, sites: Iterable[bytes]) -> "Roster":
        """Build a roster from the bytes of the project's terms and from keys in any order.

        Raises:
            ParameterError: a key is repeated, or the coordinator is among its project's sites.
        """
        ordered = tuple(sorted(sites))
        if len({coordinator, *ordered}) != len(ordered) + 1:
            raise ParameterError("a key is repeated in the roster, or the coordinator is one of its sites")
        return cls(project=project, terms=tagged_hash("terms", terms), coordinator=coordinator, sites=ordered)

    def digest(self) -> bytes:
        """Return the roster's 32-byte hash, which manifests refer to."""
        return tagged_hash("roster", self.encode())

    def words(self) -> str:
        """Return the twelve words (128 bits and a checksum) that people read to each other over another channel.

        scrypt stretches the hash: finding two rosters with the same words takes 2^64 slow evaluations.
        """
        return _words(self.digest())

    def confirm(self, words: str) -> None:
        """Check the words typed by an officer.

        Raises:
            ParameterError: the words are not this roster's; the message says which were mistyped.
        """
        given, own = words.lower().replace(",", " ").split(), self.words().split()
        if given == own:
            return
        if len(given) != len(own):
            raise ParameterError(f"{len(given)} words were typed, and there are {len(own)}; nothing was confirmed")
        if unknown := [f"{word[:20]!r}" for word in given if word not in _KNOWN_WORDS]:
            raise ParameterError(f"mistyped: {', '.join(unknown)} cannot be among the words; nothing was confirmed")
        if not _WORDS.check(" ".join(given)):
            raise ParameterError(f"the checksum of these words is wrong: {_slip(given, own)}; nothing was confirmed")
        raise ParameterError(
            "the words do not match this roster: its terms changed, or someone was added, removed or replaced. "
            "Do not accept this project; contact the coordinator's officer over a channel that you trust"
        )


def _slip(given: list[str], own: list[str]) -> str:
    """Name the words that were mistyped. Another roster's words would differ nearly everywhere."""
    wrong = [place for place, (typed, word) in enumerate(zip(given, own, strict=True), start=1) if typed != word]
    if len(wrong) > _SLIPS:
        return "several are mistyped, or they are not this roster's"
    return f"{' and '.join(f'word {place} ({given[place - 1]})' for place in wrong)} was misheard, mistyped or swapped"


def _words(digest: bytes) -> str:
    stretched = scrypt(digest, salt=tag("words"), n=2**14, r=8, p=1, dklen=16)
    return str(_WORDS.to_mnemonic(stretched))
