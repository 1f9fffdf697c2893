"""Bytes sealed under a passphrase: Argon2id derives the key of a libsodium secret box.

The parameters are the second recommended set of RFC 9106 (3 passes over 64 MiB). They are stored with the box, so that
later releases can raise them.
"""

import os
from typing import Annotated, Literal

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from pydantic import BaseModel, ConfigDict, Field

from relay.api.wire import Opaque
from secagg.errors import SecaggError

PASSES = 3
MEMORY_BYTES = 64 << 20
MOST_MEMORY_BYTES = 4 << 30  # a forged file must not exhaust the machine
MAX_BYTES = 64 << 20


class WrongPassphraseError(SecaggError):
    """The passphrase is wrong, or the box was changed."""


class Sealed(BaseModel):
    """A sealed text and the parameters of its key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kdf: Literal["argon2id"]
    passes: Annotated[int, Field(ge=1, le=64)]
    memory_bytes: Annotated[int, Field(ge=8 << 20, le=MOST_MEMORY_BYTES)]
    salt: Annotated[bytes, Opaque(argon2id.SALTBYTES, argon2id.SALTBYTES)]
    sealed: Annotated[bytes, Opaque(1, MAX_BYTES)]

    def open(self, passphrase: str) -> bytes:
        """Return the text; raises WrongPassphraseError."""
        key = argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), self.salt, self.passes, self.memory_bytes)
        try:
            return SecretBox(key).decrypt(self.sealed)
        except (CryptoError, ValueError):
            raise WrongPassphraseError("the passphrase is wrong, or the file was changed") from None


def seal(text: bytes, passphrase: str) -> Sealed:
    """Seal a text under a passphrase with a fresh salt."""
    salt = os.urandom(argon2id.SALTBYTES)
    box = SecretBox(argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, PASSES, MEMORY_BYTES))
    return Sealed(kdf="argon2id", passes=PASSES, memory_bytes=MEMORY_BYTES, salt=salt, sealed=bytes(box.encrypt(text)))
