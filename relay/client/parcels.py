"""Parcels: logs and files that the people in a run send each other, readable only by the addressee.

Spec: 04-relay-api §5.1. A parcel is a frame whose body is a libsodium sealed box to the addressee's identity (its
X25519 form), around a letter that names run, author and addressee, so that nobody can pass off another party's letter
as their own. A file travels as a payload, in pieces under a key given in the letter (XChaCha20-Poly1305 as a stream
whose last piece is marked, so truncation is detected). Unlike protocol messages, parcels are not safe against a future
quantum computer, and whoever obtains the addressee's key can open old ones.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from tempfile import TemporaryDirectory
from typing import Annotated, BinaryIO
from uuid import UUID

from nacl import bindings as sodium
from nacl.public import SealedBox
from nacl.signing import VerifyKey

from relay.api.wire import FIRST_PARCEL
from relay.client.transport import Message, RelayClient, RelayError
from secagg import envelope
from secagg.codec import U64, Blob, Fixed, Record, record, tagged_hash
from secagg.errors import DecodeError, ParameterError, SecaggError
from secagg.identity import KEY_BYTES, Identity, InvalidSignatureError, SealError, fingerprint

LOG, FILE = FIRST_PARCEL, FIRST_PARCEL + 1
MAX_LOG_BYTES = 1 << 20
PIECE_BYTES = 1 << 20
_HEADER_BYTES = sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_MORE_BYTES = sodium.crypto_secretstream_xchacha20poly1305_ABYTES
_FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_MIDDLE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_SITE = 1
"""Site index in the frames of parcels; nothing depends on it."""


class ParcelError(SecaggError):
    """A parcel or its file is not what the author sealed for this addressee."""


@record
class _Letter(Record):
    run: Annotated[bytes, Fixed(16)]
    author: Annotated[bytes, Fixed(KEY_BYTES)]
    addressee: Annotated[bytes, Fixed(KEY_BYTES)]
    name: Annotated[bytes, Blob(400)]
    text: Annotated[bytes, Blob(MAX_LOG_BYTES)]
    key: Annotated[bytes, Blob(KEY_BYTES)]
    size: Annotated[int, U64]


@dataclass(frozen=True, slots=True)
class Parcel:
    """An opened parcel.

    Attributes:
        id: ID of its message, to be passed as `after` in the next call.
        author: key of the site or coordinator that sealed it.
        name: name given by the author.
        text: bytes of a log; b"" for a file.
        size: size of the file in bytes; 0 for a log.
        fault: why it could not be opened; None if it could.
        payload, key: location of the sealed file, and the key that opens it.
    """

    id: int
    author: bytes
    name: str = ""
    text: bytes = field(default=b"", repr=False)
    size: int = 0
    fault: str | None = None
    payload: str = ""
    key: bytes = field(default=b"", repr=False)


class Parcels:
    """One party's parcels in one run.

    Args:
        relay: the party's client.
        identity: identity that seals and opens; the same as the client's.
        run: the run.
        leads: whether this party is the run's coordinator; otherwise it is a site and writes to the coordinator.
    """

    def __init__(self, relay: RelayClient, identity: Identity, run: UUID, *, leads: bool) -> None:
        self._relay, self._identity, self._run, self._leads = relay, identity, run, leads

    async def send_log(self, to: bytes, name: str, text: bytes) -> int:
        """Seal a log of at most 1 MiB for an addressee and send it; returns its message ID.

        A coordinator may send one to itself.
        """
        if len(text) > MAX_LOG_BYTES:
            raise ParameterError(f"the log has {len(text)} bytes, the limit is {MAX_LOG_BYTES}; send it as a file")
        return await self._post(LOG, to, self._letter(to, name, text=text), None)

    async def send_file(self, to: bytes, name: str, path: Path) -> int:
        """Seal a file for an addressee piece by piece and send it; returns its message ID."""
        key = token_bytes(sodium.crypto_secretstream_xchacha20poly1305_KEYBYTES)
        size = (await asyncio.to_thread(path.stat)).st_size
        letter = self._letter(to, name, key=key, size=size)
        with TemporaryDirectory(prefix="secagg-parcel-") as folder:
            sealed = Path(folder) / "sealed"
            digest = await asyncio.to_thread(_seal_file, path, sealed, key)
            payload = await self._relay.upload(self._run, sealed, size=sealed.stat().st_size, digest=digest, to=to)
        return await self._post(FILE, to, letter, payload)

    async def receive(self, after: int = 0) -> list[Parcel]:
        """Return the next parcels to this party; one that does not open says why in `fault` and blocks no other."""
        return [await self._open(message) for message in await self._relay.parcels(self._run, after)]

    async def fetch(self, parcel: Parcel, target: Path) -> None:
        """Fetch and open the file of a parcel.

        Raises:
            ParcelError: the relay's bytes are not the author's; `target` is not written.
        """
        if not parcel.payload:
            raise ParameterError("this parcel contains no file")
        part = target.with_name(f"{target.name}.part")
        try:
            with TemporaryDirectory(prefix="secagg-parcel-") as folder:
                sealed = Path(folder) / "sealed"
                with sealed.open("wb") as file:
                    async for piece in self._relay.download(parcel.payload):
                        file.write(piece)
                await asyncio.to_thread(_open_file, sealed, part, parcel.key, parcel.size)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _letter(self, to: bytes, name: str, *, text: bytes = b"", key: bytes = b"", size: int = 0) -> _Letter:
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise ParameterError("a parcel's name must have 1 to 100 printable characters")
        return _Letter(
            run=self._run.bytes,
            author=self._identity.public,
            addressee=to,
            name=name.encode(),
            text=text,
            key=key,
            size=size,
        )

    async def _post(self, kind: int, to: bytes, letter: _Letter, payload: str | None) -> int:
        body = SealedBox(VerifyKey(to).to_curve25519_public_key()).encrypt(letter.encode())
        while True:
            frame = envelope.sign(
                self._identity,
                body,
                kind=kind,
                epoch=_place(self._run),
                round_=int.from_bytes(token_bytes(4), "big"),  # a slot of its own
                sender=envelope.COORDINATOR if self._leads else _SITE,
                recipient=_SITE if self._leads and to != self._identity.public else envelope.COORDINATOR,
            )
            try:
                return await self._relay.post_message(self._run, to, frame.encode(), payload)
            except RelayError as error:
                if error.type != "slot-taken":
                    raise

    async def _open(self, message: Message) -> Parcel:
        data = await self._relay.frame(message.id) if message.frame is None else message.frame
        payload = "" if message.payload is None else message.payload.id
        try:
            letter = self._read(message.sender, data)
        except (DecodeError, InvalidSignatureError, SealError, ParcelError, UnicodeDecodeError) as error:
            return Parcel(message.id, message.sender, fault=str(error) or "the signature is not the author's")
        name = letter.name.decode()
        return Parcel(message.id, message.sender, name, letter.text, letter.size, payload=payload, key=letter.key)

    def _read(self, author: bytes, data: bytes) -> _Letter:
        frame = envelope.parse(data)
        frame.verify(author)
        if frame.epoch != _place(self._run):
            raise ParcelError("it belongs to another run")
        letter = _Letter.decode(self._identity.unseal(frame.body))
        if (letter.run, letter.author, letter.addressee) != (self._run.bytes, author, self._identity.public):
            raise ParcelError(f"its letter is not from {fingerprint(author)} to this party in this run")
        letter.name.decode()
        return letter


def _place(run: UUID) -> bytes:
    """The epoch field of a parcel's frame: it ties the signature to the run."""
    return tagged_hash("parcels", run.bytes)


def _seal_file(source: Path, target: Path, key: bytes) -> bytes:
    """Seal a file under a key; returns the SHA-256 of what was written."""
    digest = sha256()
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    with source.open("rb") as plain, target.open("wb") as sealed:

        def write(data: bytes) -> None:
            digest.update(data)
            sealed.write(data)

        write(sodium.crypto_secretstream_xchacha20poly1305_init_push(state, key))
        for piece, last in _pieces(plain, PIECE_BYTES):
            tag = _FINAL if last else _MIDDLE
            write(sodium.crypto_secretstream_xchacha20poly1305_push(state, piece, tag=tag))
    return digest.digest()


def _open_file(source: Path, target: Path, key: bytes, size: int) -> None:
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    ended = False
    with source.open("rb") as sealed, target.open("wb") as plain:
        try:
            sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, sealed.read(_HEADER_BYTES), key)
            for piece, _ in _pieces(sealed, PIECE_BYTES + _MORE_BYTES):
                content, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(state, piece)
                plain.write(content)
                ended = tag == _FINAL
        except (RuntimeError, ValueError, TypeError):  # raised by libsodium's bindings for bytes that do not open
            raise ParcelError("the file is not what its author sealed") from None
    if not ended or target.stat().st_size != size:
        raise ParcelError("the file is truncated")


def _pieces(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a file's pieces, at least one, and whether each is the last."""
    piece = file.read(size)
    while True:
        following = file.read(size)
        yield piece, not following
        if not following:
            return
        piece = following
