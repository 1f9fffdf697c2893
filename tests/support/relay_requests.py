"""Hand-made requests to a relay, so that each part of one can be wrong."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner
from http_message_signatures.algorithms import ED25519, HMAC_SHA256
from yarl import URL

from relay.api.signing import COVERED, LABEL, TAG, RequestHead
from relay.api.wire import to_base64url
from secagg.identity import Identity

PROBLEM = "application/problem+json"


def new_nonce() -> str:
    return to_base64url(os.urandom(16))


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The type of the problem, without the common prefix."""
        assert self.headers["Content-Type"] == PROBLEM, (self.status, self.body)
        document = self.json
        assert document["status"] == self.status
        assert document["title"]
        assert document["detail"]
        assert document["instance"].startswith("urn:uuid:")
        return document["type"].removeprefix("urn:secagg:problem:")


@dataclass
class Signature:
    """The signed parts and the way of signing, independent of `relay.api.signing.sign` and by another library."""

    identity_seed: bytes
    nonce: str | None = field(default_factory=new_nonce)
    created: datetime | None = None
    covered: Sequence[str] = COVERED
    tag: str | None = TAG
    label: str = LABEL
    algorithm: type = ED25519
    include_alg: bool = True
    key_id: str | None = None

    @classmethod
    def of(cls, identity: Identity, **changes: Any) -> "Signature":
        return cls(bytes(identity._key), **changes)

    def sign(self, method: str, url: str, body: bytes) -> dict[str, str]:
        head = RequestHead(method, url, {})
        key: Any = Ed25519PrivateKey.from_private_bytes(self.identity_seed)
        mine = to_base64url(Identity(self.identity_seed).public)
        if self.algorithm is HMAC_SHA256:
            key = b"secret"
        HTTPMessageSigner(signature_algorithm=self.algorithm, key_resolver=_OneKey(key)).sign(
            head,
            key_id=self.key_id or mine,
            created=self.created or datetime.now(UTC),
            nonce=self.nonce,
            label=self.label,
            tag=self.tag,
            include_alg=self.include_alg,
            covered_component_ids=self.covered,
            body=body,
        )
        return dict(head.headers)


@dataclass
class _OneKey:
    key: Any

    def resolve_private_key(self, key_id: str) -> Any:
        return self.key


async def send(
    method: str,
    url: str,
    body: bytes | str | dict = b"",
    *,
    signature: Signature | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request, signed or not."""
    if isinstance(body, dict):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    given = signature.sign(method, url, data) if signature else {}
    return await send_raw(method, url, data, {**given, **(headers or {})})


async def send_raw(method: str, url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Send exactly these headers and this body."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.request(
            method, URL(url, encoded=True), data=BytesIO(body) if body else None, headers=headers, allow_redirects=False
        ) as response,
    ):
        return Answer(response.status, response.headers, await response.read())
