"""A backup file: a tar of the database, the complete payloads and a signed manifest, sealed to a public key.

Spec: operations §5. The tar is encrypted with age (X25519, ChaCha20-Poly1305 in chunks) as it is written, so that the
host that makes backups holds no key that opens them, and nothing large is held in memory.
"""

import os
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import IO, Any

import pyrage

from relay.server.payloads.payload_store import StorageError
from secagg.errors import ParameterError, SecaggError

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 20
_MAGIC = b"age-encryption.org"


class BackupError(SecaggError):
    """A backup cannot be made, or a file is not a complete backup; the message says why."""


class ArchiveWriter:
    """Writes members one after another.

    Args:
        out: destination of the bytes.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def add(self, name: str, path: Path) -> str:
        """Add a file; returns the SHA-256 of what was written, in hex."""
        digest = sha256()
        size = path.stat().st_size
        self._begin(name, size)
        with path.open("rb") as file:
            left = size
            while left:
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise BackupError(f"{path} was truncated while it was read")
                digest.update(piece)
                self._out.write(piece)
                left -= len(piece)
        self._fill(size)
        return digest.hexdigest()

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a member from bytes."""
        self._begin(name, len(data))
        self._out.write(data)
        self._fill(len(data))

    async def add_pieces(self, name: str, size: int, pieces: AsyncIterator[bytes]) -> bytes:
        """Add a member of `size` bytes that arrive in pieces; returns their SHA-256.

        If they cannot be read to the end, zeros fill the remainder, so that the archive can continue.
        """
        digest = sha256()
        self._begin(name, size)
        left = size
        try:
            async for piece in pieces:
                digest.update(piece)
                self._out.write(piece)
                left -= len(piece)
        except StorageError:
            while left:
                self._out.write(bytes(min(_PIECE, left)))
                left -= min(_PIECE, left)
        self._fill(size)
        return digest.digest()

    def end(self) -> None:
        """Write the end of the archive."""
        self._out.write(bytes(2 * _BLOCK))

    def _begin(self, name: str, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._out.write(info.tobuf(tarfile.PAX_FORMAT))

    def _fill(self, size: int) -> None:
        self._out.write(bytes(-size % _BLOCK))


@contextmanager
def writing(path: Path, recipients: list[Any]) -> Iterator[ArchiveWriter]:
    """Write an archive to a new file, which appears under its name only once it is complete and durable.

    Args:
        path: path of the archive.
        recipients: age recipients; if empty, the archive is not encrypted.
    """
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            with _sealing(file, recipients) as out:
                archive = ArchiveWriter(out)
                yield archive
                archive.end()
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def reading(path: Path, identities: list[Any]) -> Iterator[tarfile.TarFile]:
    """Read an archive from beginning to end.

    Raises:
        BackupError: the file is not an archive, is truncated or changed, or does not open with these keys.
    """
    try:
        with path.open("rb") as file, _unsealed(file, identities) as source:
            with tarfile.open(fileobj=source, mode="r|") as archive:
                yield archive
            while source.read(_PIECE):  # data after the last member is authenticated too
                pass
    except tarfile.TarError as error:
        raise BackupError(f"{path} is not a complete backup: {error}") from None


@contextmanager
def _sealing(file: IO[bytes], recipients: list[Any]) -> Iterator[IO[bytes]]:
    if not recipients:
        yield file
        return
    source, sink = os.pipe()

    def seal() -> None:
        with os.fdopen(source, "rb") as plain:
            pyrage.encrypt_io(plain, file, recipients)

    pump = _Pump(seal)
    try:
        with os.fdopen(sink, "wb") as out:
            yield out
    except BrokenPipeError:  # the other end failed and reports the reason
        pass
    finally:
        pump.join()
    if pump.error is not None:
        raise pump.error


@contextmanager
def _unsealed(file: IO[bytes], identities: list[Any]) -> Iterator[IO[bytes]]:
    sealed = file.read(len(_MAGIC)) == _MAGIC
    file.seek(0)
    if not sealed:
        yield file
        return
    if not identities:
        raise ParameterError("this backup is encrypted; give the file with its key as --identity")
    source, sink = os.pipe()

    def unseal() -> None:
        with os.fdopen(sink, "wb") as out:
            pyrage.decrypt_io(file, out, identities)

    pump = _Pump(unseal)
    try:
        with os.fdopen(source, "rb") as plain:
            yield plain
    finally:
        pump.join()
        if pump.error is not None and "Broken pipe" not in str(pump.error):
            raise BackupError(f"the backup is damaged, truncated or encrypted to another key: {pump.error}")


class _Pump(Thread):
    """A thread that copies between a pipe and a file; `error` is the exception that it failed with."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(name="backup", daemon=True)
        self._work = work
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  # checked by whoever joins the thread
            self.error = error
