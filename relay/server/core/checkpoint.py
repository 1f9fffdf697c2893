"""Signed checkpoints of the audit log, to be kept elsewhere in order to detect truncation.

Spec: operations §4. A checkpoint states the chain's head after a number of entries. It is signed with the relay's own
key, generated at its first start and stored outside the database: write access to the database is not enough to sign.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from relay.api.wire import from_base64url, to_base64url
from relay.service.folders import write_new
from secagg.errors import ParameterError, SecaggError
from secagg.identity import KEY_BYTES, Identity, InvalidSignatureError, verify

KEY_FILE = "audit.key"
"""Name of the signing key's file in the data folder."""

_LABEL = "relay-checkpoint"


class BadCheckpointError(SecaggError):
    """A checkpoint is malformed or not signed by the key that it names."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A relay's statement about its audit log.

    Attributes:
        entries: number of entries covered.
        at_ms: time of signing, in milliseconds since 1970.
        head: chain head after these entries, 32 bytes.
        key: relay's verify key, 32 bytes.
        signature: 64 bytes.
    """

    entries: int
    at_ms: int
    head: bytes
    key: bytes
    signature: bytes

    @classmethod
    def sign(cls, identity: Identity, *, entries: int, head: bytes, at_ms: int) -> Self:
        """Create and sign a checkpoint."""
        signature = identity.sign(_LABEL, _statement(entries, at_ms, head))
        return cls(entries, at_ms, head, identity.public, signature)

    def check(self) -> None:
        """Check the signature; raises BadCheckpointError."""
        try:
            verify(self.key, _LABEL, _statement(self.entries, self.at_ms, self.head), self.signature)
        except InvalidSignatureError:
            raise BadCheckpointError(
                f"the checkpoint of {self.entries} entries is not signed by the key that it names"
            ) from None

    def document(self) -> dict[str, Any]:
        """Return the checkpoint for JSON: head in hex, key and signature in base64url."""
        return {
            "entries": self.entries,
            "at_ms": self.at_ms,
            "head": self.head.hex(),
            "public": to_base64url(self.key),
            "proof": to_base64url(self.signature),  # the log redacts fields named `signature`
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Parse the output of `document`, ignoring further members, and check the signature.

        Raises:
            BadCheckpointError: the document is not a checkpoint, or its signature is wrong.
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
            raise BadCheckpointError("this is not an audit log checkpoint") from None
        return found


def _statement(entries: int, at_ms: int, head: bytes) -> bytes:
    return entries.to_bytes(8, "big") + at_ms.to_bytes(8, "big") + head


def signing_key(path: Path) -> Identity:
    """Return the relay's key, generated and stored at the first call.

    Raises:
        ParameterError: the file is not a key, or others may read it.
    """
    with suppress(FileExistsError):
        write_new(path, os.urandom(KEY_BYTES).hex().encode() + b"\n")
    return _read_key(path)


def _read_key(path: Path) -> Identity:
    if path.stat().st_mode & 0o077:
        raise ParameterError(f"{path} can be read by other users of this machine; run: chmod 600 {path}")
    try:
        return Identity(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except (ValueError, ParameterError):
        raise ParameterError(
            f"{path} is not a signing key; restore the right file, or move it away: the next start creates a new key"
        ) from None
