"""The identity key at rest: sealed under a passphrase, in a file of its own.

Argon2id with the second recommended set of RFC 9106 (3 passes over 64 MiB) makes the key of a libsodium secret box. The
public key stands beside it in clear, so that commands which only show it need no passphrase.
"""

import os
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relay.service.folders import private_folder, sync_folder
from relay.wire import Opaque
from secagg.errors import ParameterError
from secagg.identity import KEY_BYTES, Identity

_PASSES = 3
_MEMORY_BYTES = 64 << 20
_SEALED_BYTES = SecretBox.NONCE_SIZE + KEY_BYTES + SecretBox.MACBYTES
_MOST_MEMORY_BYTES = 4 << 30  # a forged file must not exhaust the machine
MIN_PASSPHRASE = 12


class KeystoreError(ParameterError):
    """The key file is missing, damaged, exists already, or does not open with this passphrase."""


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    public: Annotated[bytes, Opaque(KEY_BYTES, KEY_BYTES)]
    kdf: Literal["argon2id"]
    passes: Annotated[int, Field(ge=1, le=64)]
    memory_bytes: Annotated[int, Field(ge=8 << 20, le=_MOST_MEMORY_BYTES)]
    salt: Annotated[bytes, Opaque(argon2id.SALTBYTES, argon2id.SALTBYTES)]
    sealed: Annotated[bytes, Opaque(_SEALED_BYTES, _SEALED_BYTES)]


def create(path: Path, passphrase: str) -> Identity:
    """Draw a new identity and store it.

    Raises:
        KeystoreError: there is a file already, or the passphrase is shorter than 12 characters.
    """
    if path.exists():
        raise KeystoreError(f"{path} exists; an identity is never overwritten")
    if len(passphrase) < MIN_PASSPHRASE:
        raise KeystoreError(f"the passphrase has at least {MIN_PASSPHRASE} characters")
    seed, salt = os.urandom(KEY_BYTES), os.urandom(argon2id.SALTBYTES)
    identity = Identity(seed)
    box = SecretBox(argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, _PASSES, _MEMORY_BYTES))
    content = _KeyFile(
        version=1,
        public=identity.public,
        kdf="argon2id",
        passes=_PASSES,
        memory_bytes=_MEMORY_BYTES,
        salt=salt,
        sealed=bytes(box.encrypt(seed)),
    )
    private_folder(path.parent)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_folder(path.parent)
    return identity


def unlock(path: Path, passphrase: str) -> Identity:
    """Open a stored identity.

    Raises:
        KeystoreError: no such file, not a key file, readable by others, or another passphrase.
    """
    content = _read(path)
    key = argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), content.salt, content.passes, content.memory_bytes)
    try:
        identity = Identity(SecretBox(key).decrypt(content.sealed))
    except CryptoError:
        raise KeystoreError(f"{path} does not open with this passphrase") from None
    if identity.public != content.public:
        raise KeystoreError(f"{path} is damaged: the public key is not that of the sealed one")
    return identity


def unlock_or_create(path: Path, passphrase: str) -> Identity:
    """Open the identity that is there, or draw one where none is; raises KeystoreError."""
    return unlock(path, passphrase) if path.exists() else create(path, passphrase)


def replace(path: Path, successor: Path) -> None:
    """Put another key file in the place of this one, whose bytes are then overwritten."""
    with path.open("r+b") as old:
        successor.replace(path)
        sync_folder(path.parent)
        _overwrite(old)


def destroy(path: Path) -> None:
    """Overwrite and remove a key file.

    On disks that write elsewhere (flash, journals, snapshots) the old bytes may stay; they are sealed under the
    passphrase.
    """
    with path.open("r+b") as file:
        _overwrite(file)
    path.unlink()
    sync_folder(path.parent)


def _overwrite(file: BinaryIO) -> None:
    file.write(os.urandom(os.fstat(file.fileno()).st_size))
    file.flush()
    os.fsync(file.fileno())


def _read(path: Path) -> _KeyFile:
    try:
        if path.stat().st_mode & 0o077:
            raise KeystoreError(f"{path} is open to other users of this machine; run: chmod 600 {path}")
        return _KeyFile.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise KeystoreError(f"there is no identity at {path}; enrol first") from None
    except (ValidationError, UnicodeDecodeError):
        raise KeystoreError(f"{path} is not a key file, or is damaged") from None
