"""The identity key at rest, sealed under a passphrase (`relay.party.sealed`), in a file of its own.

The public key is stored next to it in clear, so that commands that only show it need no passphrase.
"""

import os
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from nacl.secret import SecretBox
from pydantic import ValidationError

from relay.api.wire import Opaque
from relay.party.sealed import Sealed, WrongPassphraseError, seal
from relay.service.folders import private_folder, sync_folder, write_whole
from secagg.errors import ParameterError
from secagg.identity import KEY_BYTES, Identity

_SEALED_BYTES = SecretBox.NONCE_SIZE + KEY_BYTES + SecretBox.MACBYTES
MIN_PASSPHRASE = 12


class KeystoreError(ParameterError):
    """The key file is missing or damaged or already exists, or the passphrase does not open it."""


class _KeyFile(Sealed):
    version: Literal[1]
    public: Annotated[bytes, Opaque(KEY_BYTES, KEY_BYTES)]
    sealed: Annotated[bytes, Opaque(_SEALED_BYTES, _SEALED_BYTES)]


def create(path: Path, passphrase: str) -> Identity:
    """Generate a new identity and store it.

    Raises:
        KeystoreError: the file exists, or the passphrase has fewer than 12 characters.
    """
    return store(path, os.urandom(KEY_BYTES), passphrase)


def store(path: Path, seed: bytes, passphrase: str) -> Identity:
    """Store the identity that belongs to a seed; raises the same errors as `create`."""
    if path.exists():
        raise KeystoreError(f"{path} already exists; an identity is never overwritten")
    if len(passphrase) < MIN_PASSPHRASE:
        raise KeystoreError(f"the passphrase must have at least {MIN_PASSPHRASE} characters")
    identity = Identity(seed)
    content = _KeyFile(version=1, public=identity.public, **dict(seal(seed, passphrase)))
    private_folder(path.parent)
    write_whole(path, (content.model_dump_json(indent=2) + "\n").encode())
    return identity


def unlock(path: Path, passphrase: str) -> Identity:
    """Open a stored identity.

    Raises:
        KeystoreError: the file is missing, is not a key file or is readable by others, or the passphrase is wrong.
    """
    return Identity(seed_of(path, passphrase))


def seed_of(path: Path, passphrase: str) -> bytes:
    """Return the seed of a stored identity, for a backup; raises the same errors as `unlock`."""
    content = _read(path)
    try:
        seed = content.open(passphrase)
    except WrongPassphraseError:
        raise KeystoreError(f"{path} does not open with this passphrase") from None
    if Identity(seed).public != content.public:
        raise KeystoreError(f"{path} is damaged: the public key does not match the sealed key")
    return seed


def public_of(path: Path) -> bytes:
    """Return the public key of a stored identity without the passphrase; raises KeystoreError."""
    return _read(path).public


def unlock_or_create(path: Path, passphrase: str) -> Identity:
    """Open the stored identity, or generate one if there is none; raises KeystoreError."""
    return unlock(path, passphrase) if path.exists() else create(path, passphrase)


def replace(path: Path, successor: Path) -> None:
    """Replace this key file with another one and overwrite the old bytes."""
    with path.open("r+b") as old:
        successor.replace(path)
        sync_folder(path.parent)
        _overwrite(old)


def destroy(path: Path) -> None:
    """Overwrite and remove a key file.

    On disks that do not write in place (flash, journals, snapshots) old bytes may remain; they are sealed under the
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
            raise KeystoreError(f"{path} can be read by other users of this machine; run: chmod 600 {path}")
        return _KeyFile.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise KeystoreError(f"found no identity at {path}; enrol first") from None
    except (ValidationError, UnicodeDecodeError):
        raise KeystoreError(f"{path} is not a key file, or is damaged") from None
