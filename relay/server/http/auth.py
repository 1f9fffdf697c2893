"""Authentication: the signature is checked first, then the site, and only then is the body read.

Spec: 04-relay-api §1. A stranger cannot make the relay read more than the head of a request.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web
from http_message_signatures import HTTPMessageSignaturesException
from multidict import CIMultiDict

from relay.api.signing import WINDOW_S, RequestHead, Signed, content_digest
from relay.server.core.problem import (
    BAD_DIGEST,
    BAD_REQUEST,
    BAD_SIGNATURE,
    STALE_SIGNATURE,
    TOO_LARGE,
    TOO_SLOW,
    UNSIGNED,
    Problem,
)
from relay.server.http import signatures
from relay.server.http.signatures import StaleSignatureError

_AUTHORITY = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A body and its SHA-256, computed as the body arrived."""

    data: bytes
    digest: bytes


def authenticate(request: web.Request, names: Sequence[str]) -> Signed:
    """Verify the signature over the head of a request.

    Args:
        request: the request.
        names: authorities under which sites reach this relay; empty for whatever the request's Host says.

    Raises:
        Problem: `unsigned`, `bad-signature` or `stale-signature`.
    """
    if "Signature" not in request.headers and "Signature-Input" not in request.headers:
        raise Problem(UNSIGNED, "sign every request with the site's key (RFC 9421)")
    # Path and query are used exactly as sent. A proxy may have changed Host, so the configured names count before it.
    headers, host = CIMultiDict(request.headers), request.headers.get("Host", "").lower()
    known = names or (host if _AUTHORITY.fullmatch(host) else "relay",)
    heads = [RequestHead(request.method, f"http://{name}{request.raw_path}", headers) for name in known]
    if names and not signatures.covers_authority(heads[0]):
        raise Problem(
            BAD_SIGNATURE, "the signature does not cover @authority, which this relay requires: update secagg"
        )
    try:
        return _verified(heads)
    except StaleSignatureError:
        raise Problem(
            STALE_SIGNATURE,
            f"the signature's time is more than {WINDOW_S} s from this relay's; check both clocks",
        ) from None
    except HTTPMessageSignaturesException as error:
        raise Problem(BAD_SIGNATURE, _reason(error)) from None


def _verified(heads: Sequence[RequestHead]) -> Signed:
    """Verify a signature over one of several heads, which differ in the relay's name; raises for the last of them."""
    for head in heads[:-1]:
        with suppress(HTTPMessageSignaturesException):
            return signatures.verify(head)
    return signatures.verify(heads[-1])


async def read_body(request: web.Request, *, most: int, grace_s: float, min_rate: float) -> Arrived:
    """Read the whole body, at most `most` bytes and, after `grace_s`, at no less than `min_rate` bytes per second.

    aiohttp itself times out slow heads, but never slow bodies.

    Raises:
        Problem: `too-large`, `too-slow`, or `bad-request` for a compressed or broken body.
    """
    if "Content-Encoding" in request.headers:
        raise Problem(BAD_REQUEST, "compressed bodies are not accepted; send the body uncompressed")
    if (request.content_length or 0) > most:
        raise _too_large(most)
    body, running = bytearray(), sha256()
    started = time.monotonic()
    try:
        while True:
            left = started + grace_s + len(body) / min_rate - time.monotonic()
            async with asyncio.timeout(max(left, 0)):
                piece = await request.content.readany()
            if not piece:
                return Arrived(bytes(body), running.digest())
            body += piece
            running.update(piece)
            if len(body) > most:
                raise _too_large(most)
    except TimeoutError:
        raise Problem(
            TOO_SLOW, f"after {grace_s:g} s a body must arrive at {min_rate:g} bytes per second or more"
        ) from None
    except web.RequestPayloadError:
        raise Problem(BAD_REQUEST, "the body ended before its announced length") from None


def check_digest(signed: Signed, body: Arrived) -> None:
    """Check that the body is the one that was signed; raises `bad-digest`."""
    if content_digest(body.digest) != signed.content_digest.strip():
        raise Problem(BAD_DIGEST, "the body does not match the sha-256 in Content-Digest")


def _too_large(most: int) -> Problem:
    return Problem(TOO_LARGE, f"the body of this request may have at most {most} bytes")


def _reason(error: HTTPMessageSignaturesException) -> str:
    """Return the library's explanation of a malformed signature; it has none for one that does not verify."""
    return str(error) or "the signature does not verify for this key and this request"
