"""Streams of any length sealed under a passphrase, for what does not fit into memory.

The first line is JSON: a fresh key, sealed under the passphrase (`relay.party.sealed`). After it comes a libsodium
secret stream (XChaCha20-Poly1305) in pieces of 1 MiB; their order and their end are authenticated, so a torn file is
noticed.
"""

from typing import BinaryIO

from nacl import bindings as sodium
from nacl.exceptions import CryptoError
from pydantic import ValidationError

from relay.party.sealed import Sealed, WrongPassphraseError, seal

PIECE = 1 << 20
_MAX_HEAD = 4096
_HEADER = sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_MORE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_LAST = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_SEALED_PIECE = PIECE + sodium.crypto_secretstream_xchacha20poly1305_ABYTES


class SealedWriter:
    """Seals what is written to it; without `finish`, nobody can read the end.

    Args:
        out: file to write to.
        passphrase: passphrase to seal under.
    """

    def __init__(self, out: BinaryIO, passphrase: str) -> None:
        key = sodium.crypto_secretstream_xchacha20poly1305_keygen()
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        header = sodium.crypto_secretstream_xchacha20poly1305_init_push(self._state, key)
        self._out, self._held = out, bytearray()
        out.write(seal(key, passphrase).model_dump_json().encode() + b"\n" + header)

    def write(self, content: bytes) -> int:
        self._held += content
        while len(self._held) > PIECE:
            self._push(bytes(self._held[:PIECE]), _MORE)
            del self._held[:PIECE]
        return len(content)

    def finish(self) -> None:
        """Write the last piece."""
        self._push(bytes(self._held), _LAST)
        self._held.clear()

    def _push(self, piece: bytes, tag: int) -> None:
        self._out.write(sodium.crypto_secretstream_xchacha20poly1305_push(self._state, piece, tag=tag))


class SealedReader:
    """Reads what was sealed, and returns nothing that is not authentic.

    Args:
        file: file to read from, at its start.
        passphrase: passphrase of the stream.

    Raises:
        WrongPassphraseError: the passphrase is wrong, or the file was changed or torn.
    """

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        try:
            key = Sealed.model_validate_json(file.readline(_MAX_HEAD)).open(passphrase)
            sodium.crypto_secretstream_xchacha20poly1305_init_pull(self._state, file.read(_HEADER), key)
        except (ValidationError, CryptoError, ValueError, TypeError):
            raise WrongPassphraseError("this is not a sealed file, or it was changed") from None
        self._file, self._held, self._ended = file, b"", False

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the end.

        Raises:
            WrongPassphraseError: the file was changed or torn.
        """
        parts, left = [], size
        while left and (self._held or not self._ended):
            if not self._held:
                self._held = self._pull()
            parts.append(self._held[:left])
            self._held = self._held[left:]
            left -= len(parts[-1])
        return b"".join(parts)

    def finish(self) -> None:
        """Read to the end.

        Raises:
            WrongPassphraseError: the file was changed or torn.
        """
        while self.read(PIECE):
            pass

    def _pull(self) -> bytes:
        try:
            piece, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(self._state, self._file.read(_SEALED_PIECE))
        except (CryptoError, ValueError, TypeError):
            raise WrongPassphraseError("the file was changed, or torn before its end") from None
        self._ended = tag == _LAST
        if self._ended and self._file.read(1):
            raise WrongPassphraseError("the file was changed: something follows its end")
        return bytes(piece)
