"""Signed frames: the only form in which a message leaves its author.

Spec: 01-wire §3. The relay reads the header and checks the signature; it can read a body only if the body is public. A
frame's slot is its place in the protocol: an author signs at most one frame per slot.
"""

from dataclasses import replace
from typing import Annotated, NamedTuple

from secagg.codec import U8, U16, U32, Blob, Fixed, Hash, Kept, record, tagged_hash
from secagg.errors import DecodeError, ParameterError
from secagg.identity import SIGNATURE_BYTES, Identity, verify

VERSION = 1
COORDINATOR = 0
EVERYONE = 0xFFFF
MAX_FRAME_BYTES = 4 << 20
NO_TRANSCRIPT = bytes(32)
_LABEL = "frame"


class Slot(NamedTuple):
    """The place of a frame; two different frames of one author in one slot prove equivocation."""

    epoch: bytes
    round: int
    kind: int
    sender: int
    recipient: int


@record
class Frame(Kept):
    """A message with its header and its author's signature over both.

    `epoch` is the manifest's hash, `transcript` the running hash of everything agreed so far, `round` 0 during setup.
    `sender` and `recipient` are indices from the manifest; 0 is the coordinator.
    """

    version: Annotated[int, U8]
    kind: Annotated[int, U8]
    epoch: Hash
    transcript: Hash
    round: Annotated[int, U32]
    sender: Annotated[int, U16]
    recipient: Annotated[int, U16]
    body: Annotated[bytes, Blob(MAX_FRAME_BYTES)]
    signature: Annotated[bytes, Fixed(SIGNATURE_BYTES)]

    @property
    def slot(self) -> Slot:
        return Slot(self.epoch, self.round, self.kind, self.sender, self.recipient)

    def signed_hash(self) -> bytes:
        """Return the hash of header and body, which the signature covers."""
        return tagged_hash("frame", self.header(), self.body)

    def header(self) -> bytes:
        """Return the encoded fields before the body; sealing authenticates them with the body."""
        return header(self.kind, self.epoch, self.transcript, self.round, self.sender, self.recipient)

    def verify(self, public: bytes) -> None:
        """Check the signature against the author's verify key; raises InvalidSignatureError."""
        verify(public, _LABEL, self.signed_hash(), self.signature)


def header(kind: int, epoch: bytes, transcript: bytes, round_: int, sender: int, recipient: int) -> bytes:
    """Return the encoded header of a frame (74 bytes)."""
    out = bytearray()
    for wire, value in ((U8, VERSION), (U8, kind)):
        wire.write(out, value)
    out += epoch + transcript
    for wire, value in ((U32, round_), (U16, sender), (U16, recipient)):
        wire.write(out, value)
    return bytes(out)


def sign(
    identity: Identity,
    body: bytes,
    *,
    kind: int,
    epoch: bytes,
    transcript: bytes = NO_TRANSCRIPT,
    round_: int = 0,
    sender: int,
    recipient: int = COORDINATOR,
) -> Frame:
    """Return the signed frame of a body.

    Raises:
        ParameterError: the frame would exceed 4 MiB; such content travels as a payload.
    """
    if len(body) > MAX_FRAME_BYTES - 256:
        raise ParameterError(f"a frame's body may have at most {MAX_FRAME_BYTES - 256} bytes, got {len(body)}")
    unsigned = Frame(
        version=VERSION,
        kind=kind,
        epoch=epoch,
        transcript=transcript,
        round=round_,
        sender=sender,
        recipient=recipient,
        body=body,
        signature=bytes(SIGNATURE_BYTES),
    )
    return replace(unsigned, signature=identity.sign(_LABEL, unsigned.signed_hash()))


def parse(data: bytes) -> Frame:
    """Parse an untrusted frame: checks structure and version only; the signature is checked against a key later.

    Raises:
        DecodeError: V-0101 to V-0105, or V-0106 for an unsupported version.
    """
    if len(data) > MAX_FRAME_BYTES:
        raise DecodeError("V-0103", f"a frame may have at most {MAX_FRAME_BYTES} bytes, got {len(data)}")
    frame = Frame.decode(data)
    if frame.version != VERSION:
        raise DecodeError("V-0106", f"frame version {frame.version}, expected {VERSION}")
    return frame
