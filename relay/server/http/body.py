"""The kinds of request body: their size limits and how their bytes become typed values."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from relay.api.wire import CHUNK_BYTES, parse
from relay.server.core.problem import BAD_FRAME, BAD_REQUEST, Problem
from secagg import complaints, envelope
from secagg.errors import DecodeError
from secagg.identity import InvalidSignatureError

BYTES = "application/octet-stream"
JSON = "application/json"


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Body(Protocol[T_co]):
    """A kind of body: media type, maximum size in bytes, and a parser that raises `Problem`."""

    @property
    def media_type(self) -> str: ...

    @property
    def most(self) -> int: ...

    def parse(self, data: bytes, signer: bytes) -> T_co: ...


@dataclass(frozen=True, slots=True)
class Json(Generic[T]):
    """A JSON object of one of the types in `relay.api.wire`."""

    model: type[T]
    most: int = 4 << 10
    media_type: str = JSON

    def parse(self, data: bytes, signer: bytes) -> T:
        del signer
        try:
            return parse(self.model, data)
        except ValidationError as error:
            raise Problem(BAD_REQUEST, explain("the body", error)) from None


@dataclass(frozen=True, slots=True)
class PostedFrame:
    """A frame with its bytes as sent."""

    frame: envelope.Frame
    data: bytes


@dataclass(frozen=True, slots=True)
class SignedFrame:
    """One frame, signed by the site that signed the request."""

    most: int = envelope.MAX_FRAME_BYTES
    media_type: str = BYTES

    def parse(self, data: bytes, signer: bytes) -> PostedFrame:
        try:
            frame = envelope.parse(data)
            frame.verify(signer)
        except DecodeError as error:
            raise Problem(BAD_FRAME, f"the body is not a frame: {error}") from None
        except InvalidSignatureError:
            raise Problem(BAD_FRAME, "the frame is not signed by the site that signed the request") from None
        return PostedFrame(frame, data)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a payload."""

    most: int = CHUNK_BYTES
    media_type: str = BYTES

    def parse(self, data: bytes, signer: bytes) -> bytes:
        del signer
        if not data:
            raise Problem(BAD_REQUEST, "a piece of a payload must have at least one byte")
        return data


def explain(where: str, error: ValidationError) -> str:
    """Say what is wrong with a parsed value: the member's name and the rule, never a value."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"][:3])
    return complaints.in_words(f"{where}{f', {name[:60]}' if name else ''}", first)
