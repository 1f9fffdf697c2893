"""RFC 9421 request signatures: what they cover, and how the relay verifies those of any client.

Spec: 04-relay-api §1. The signature covers method, authority, path, query and the body's digest, so no part of a
request can be changed or moved to another one, and none can be repeated at another relay. libsodium signs and
verifies, as for everything else that an identity signs: it rejects the small-order and non-canonical keys that RFC
8032 leaves open.
"""

from datetime import timedelta
from typing import Any

from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
    InvalidSignature,
)
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from relay.api import signing
from relay.api.signing import COVERED, COVERED_BEFORE, LABEL, TAG, WINDOW_S, RequestHead, Signed
from relay.api.wire import KEY_BYTES, from_base64url

_UNVERIFIED = (
    "the signature does not verify for this key and this request; if a proxy changes its Host, the relay's operator "
    "sets public_names"
)
_NONCE_CHARACTERS = range(22, 87)  # of 16 to 64 bytes in base64url


class StaleSignatureError(InvalidSignature):
    """The signature's time is outside the window around the relay's clock."""


class _Ed25519(HTTPSignatureAlgorithm):
    algorithm_id = "ed25519"

    def __init__(self, public_key: bytes | None = None, private_key: None = None) -> None:
        del private_key  # required by the library's interface; nothing is signed here
        self.public_key = public_key

    def verify(self, signature: bytes, message: bytes) -> None:
        try:
            VerifyKey(self.public_key or b"").verify(message, signature)
        except BadSignatureError:
            raise InvalidSignature(_UNVERIFIED) from None


class _Identities(HTTPSignatureKeyResolver):
    """Resolves a key ID, which is the key itself."""

    def resolve_public_key(self, key_id: str) -> bytes:
        return public_key(key_id)


class _Verifier(HTTPMessageVerifier):
    max_clock_skew = timedelta(seconds=WINDOW_S)

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        try:
            super().validate_created_and_expires(sig_input, max_age=max_age)  # type: ignore[no-untyped-call]
        except InvalidSignature as error:
            raise StaleSignatureError(str(error)) from None


def public_key(key_id: str) -> bytes:
    """Parse a key ID; raises ValueError if it is not a key."""
    key = from_base64url(key_id)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key ID must be base64url of {KEY_BYTES} bytes")
    return key


def covers_authority(head: RequestHead) -> bool:
    """Return whether a signature claims to cover the authority, as those of this version's clients do."""
    return '"@authority"' in head.headers.get("Signature-Input", "")


def verify(head: RequestHead) -> Signed:
    """Verify the signature of a request whose body need not have arrived yet.

    Not checked here: that the digest matches the body, that the key belongs to a site, that the nonce is new, and that
    the authority in the URL is this relay's.

    Raises:
        StaleSignatureError: the signature is too old or in the future.
        InvalidSignature: the signature is invalid in another way; the message says how.
    """
    return signing.verify(head) or verify_any(head)


def verify_any(head: RequestHead) -> Signed:
    """Verify a signature in any form that RFC 9421 allows; otherwise like `verify`."""
    covered = COVERED if covers_authority(head) else COVERED_BEFORE
    (result,) = _Verifier(signature_algorithm=_Ed25519, key_resolver=_Identities()).verify(
        head, max_age=timedelta(0), expect_tag=TAG, expect_label=LABEL, require_components=covered
    )
    parameters = result.parameters
    if len(result.covered_components) != len(covered) + 1:  # the last is @signature-params
        raise InvalidSignature(f"the signature must cover {', '.join(COVERED)} and nothing else")
    if parameters.get("alg") != _Ed25519.algorithm_id:
        raise InvalidSignature("the signature must name its algorithm, ed25519")
    nonce = str(parameters.get("nonce", ""))
    if len(nonce) not in _NONCE_CHARACTERS:
        raise InvalidSignature("the signature must have a nonce of 16 to 64 random bytes in base64url")
    try:
        from_base64url(nonce)
    except ValueError:
        raise InvalidSignature("the nonce is not base64url") from None
    digest = result.covered_components['"content-digest"']
    return Signed(public_key(str(parameters["keyid"])), nonce, digest, float(parameters["created"]))
