"""The one form in which this project's clients sign requests, with a verifier much faster than a general library.

The relay verifies a signature on every request, so this is its hottest path. Requests in exactly this form are verified
here; everything else that RFC 9421 allows goes to the library (`relay.server.http.signatures`), which also explains why
it is invalid. Tests compare the two: the library accepts whatever is accepted here, with the same result.
"""

import re
import time
from base64 import b64decode, b64encode
from collections.abc import MutableMapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from relay.api.wire import from_base64url, to_base64url
from secagg.identity import Identity

LABEL = "secagg"
TAG = "secagg-relay"
COVERED = ("@method", "@authority", "@path", "@query", "content-digest")
COVERED_BEFORE = ("@method", "@path", "@query", "content-digest")
"""What earlier clients cover: a request recorded at one relay is then valid at another one that knows the key."""
NONCE_BYTES = 16
WINDOW_S = 60
"""Maximum difference between a signature's time and the relay's clock, in either direction."""

_components: Final = " ".join(f'"{name}"' for name in COVERED)
_INPUT = re.compile(
    rf'{LABEL}=(\({re.escape(_components)}\);created=([1-9][0-9]{{0,14}});keyid="([A-Za-z0-9_-]{{43}})";alg="ed25519"'
    rf';nonce="([A-Za-z0-9_-]{{22,86}})";tag="{TAG}")'
)
_SIGNATURE = re.compile(rf"{LABEL}=:([A-Za-z0-9+/]{{86}}==):")
_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:")
_TARGET = re.compile(r"https?://([a-z0-9.:-]+)(/[A-Za-z0-9/_-]*)(?:\?([A-Za-z0-9=&_-]*))?")
"""Targets with only one spelling: no escapes, no dots, no fragment."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The part of a request that a signature covers. `url` is absolute."""

    method: str
    url: str
    headers: MutableMapping[str, str]


@dataclass(frozen=True, slots=True)
class Signed:
    """The content of a valid signature: the signer's key, the nonce, the body's digest and the time of signing."""

    key: bytes
    nonce: str
    content_digest: str
    created: float


def content_digest(digest: bytes) -> str:
    """Return the value of `Content-Digest` for a body with this SHA-256 (RFC 9530)."""
    return f"sha-256=:{b64encode(digest).decode()}:"


def sign(identity: Identity, head: RequestHead, body: bytes, *, nonce: str, created: int) -> None:
    """Add `Content-Digest`, `Signature-Input` and `Signature` to the headers of a request.

    Args:
        identity: signing identity.
        head: method, absolute URL exactly as it will be sent, headers.
        body: whole body; b"" if there is none.
        nonce: base64url of at least 16 random bytes; the idempotency key of a write.
        created: time of signing by the signer's clock, seconds since 1970.
    """
    digest = content_digest(sha256(body).digest())
    parameters = (
        f'({_components});created={created};keyid="{to_base64url(identity.public)}";alg="ed25519"'
        f';nonce="{nonce}";tag="{TAG}"'
    )
    target, _, query = head.url.partition("#")[0].partition("?")
    path = "/" + target.partition("://")[2].partition("/")[2]
    signature = identity.sign_request(_base(head.method, authority_of(head.url), path, query, digest, parameters))
    head.headers["Content-Digest"] = digest
    head.headers["Signature-Input"] = f"{LABEL}={parameters}"
    head.headers["Signature"] = f"{LABEL}=:{b64encode(signature).decode()}:"


def verify(head: RequestHead) -> Signed | None:
    """Verify a signature of this form; returns None if it has another form, is stale or is not valid."""
    fields = _fields(head.headers)
    found = _INPUT.fullmatch(fields.get("signature-input", ""))
    signature = _SIGNATURE.fullmatch(fields.get("signature", ""))
    digest = fields.get("content-digest", "")
    target = _TARGET.fullmatch(head.url)
    if not (found and signature and target and _DIGEST.fullmatch(digest) and head.method.isupper()):
        return None
    parameters, created, key_id, nonce = found.groups()
    if abs(time.time() - int(created)) > WINDOW_S:
        return None
    authority, path, query = target.groups()
    try:
        key = from_base64url(key_id)
        from_base64url(nonce)
        base = _base(head.method, authority, path, query or "", digest, parameters)
        VerifyKey(key).verify(base, b64decode(signature[1]))
    except (ValueError, BadSignatureError):
        return None
    return Signed(key, nonce, digest, float(created))


def _fields(headers: MutableMapping[str, str]) -> dict[str, str]:
    """Return the header fields that a signature needs; a repeated field counts as missing."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in {"signature", "signature-input", "content-digest"}:
            found[lower] = "" if lower in found else value
    return found


def authority_of(url: str) -> str:
    """Return the authority of an absolute URL as RFC 9421 §2.2.3 has it: in lower case, without the default port."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2].lower()
    return authority.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))


def _base(method: str, authority: str, path: str, query: str, digest: str, parameters: str) -> bytes:
    """Return the signature base (RFC 9421 §2.5)."""
    return (
        f'"@method": {method}\n"@authority": {authority}\n"@path": {path}\n"@query": ?{query}\n'
        f'"content-digest": {digest}\n"@signature-params": {parameters}'
    ).encode("ascii")
