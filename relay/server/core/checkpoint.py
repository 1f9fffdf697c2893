"""Signed checkpoints of the audit log: what one needs to keep elsewhere to notice a cut-off tail.

Spec: operations §4. A checkpoint says that after so many entries the chain's head was this. The key that signs it is
the relay's own, made at its first start and kept outside the database: who can change the database cannot sign.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from relay.api.wire import from_base64url, to_base64url
from relay.service.folders import sync_folder
from secagg.errors import ParameterError, SecaggError
from secagg.identity import KEY_BYTES, Identity, InvalidSignatureError, verify

KEY_FILE = "audit.key"
"""The signing key's name in the data folder."""

_LABEL = "relay-checkpoint"


class BadCheckpointError(SecaggError):
    """A checkpoint is malformed, or its signature is not the named key's."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A statement of a relay about its audit log.

    Attributes:
        entries: how many entries there were.
        at_ms: when it was signed, in milliseconds since 1970.
        head: the chain's head after them, 32 bytes.
        key: the verify key of the relay, 32 bytes.
        signature: 64 bytes.
    """

    entries: int
    at_ms: int
    head: bytes
    key: bytes
    signature: bytes

    @classmethod
    def sign(cls, identity: Identity, *, entries: int, head: bytes, at_ms: int) -> Self:
        """Make one."""
        signature = identity.sign(_LABEL, _statement(entries, at_ms, head))
        return cls(entries, at_ms, head, identity.public, signature)

    def check(self) -> None:
        """Check the signature; raises BadCheckpointError."""
        try:
            verify(self.key, _LABEL, _statement(self.entries, self.at_ms, self.head), self.signature)
        except InvalidSignatureError:
            raise BadCheckpointError(f"the checkpoint of {self.entries} entries is not signed by its key") from None

    def document(self) -> dict[str, Any]:
        """Return it for JSON: head in hex, key and signature in base64url."""
        return {
            "entries": self.entries,
            "at_ms": self.at_ms,
            "head": self.head.hex(),
            "public": to_base64url(self.key),
            "proof": to_base64url(self.signature),  # `signature` is a name that the log hides
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` returned, further members aside, and check the signature.

        Raises:
            BadCheckpointError: it is none, or is not signed by its key.
        """
        try:
            found = cls(
                int(document["entries"]),
                int(document["at_ms"]),
                bytes.fromhex(document["head"]),
                from_base64url(document["public"]),
                from_base64url(document["proof"]),
            )
            found.check()
        except (KeyError, TypeError, ValueError, OverflowError):
            raise BadCheckpointError("this is no checkpoint of an audit log") from None
        return found


def _statement(entries: int, at_ms: int, head: bytes) -> bytes:
    return entries.to_bytes(8, "big") + at_ms.to_bytes(8, "big") + head


def signing_key(path: Path) -> Identity:
    """Return the relay's key, drawn and stored at the first call.

    Raises:
        ParameterError: the file is no key, or others may read it.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    with os.fdopen(handle, "wb") as file:
        file.write(os.urandom(KEY_BYTES).hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return _read_key(path)


def _read_key(path: Path) -> Identity:
    if path.stat().st_mode & 0o077:
        raise ParameterError(f"{path} is open to other users of this machine; run: chmod 600 {path}")
    try:
        return Identity(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except (ValueError, ParameterError):
        raise ParameterError(
            f"{path} is no signing key; put the right file back, or move it away: the next start makes a new key"
        ) from None
