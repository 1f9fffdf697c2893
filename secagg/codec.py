"""Canonical bytes: wire types, records composed of them, and the tagged hash over fields.

Spec: 01-wire §1 and §2. Every value has exactly one encoding: integers are big-endian of fixed width, lengths and
counts are u32 prefixes with a limit, maps and sets are strictly ascending, and nothing may follow the last field. A
record is a frozen dataclass annotated with wire types, so that one layout serves both directions:

    @record
    class Ping(Record):
        index: Annotated[int, U16]
        note: Annotated[bytes, Blob(100)]

    Ping.decode(Ping(index=1, note=b"x").encode())
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from enum import IntEnum
from functools import cache, lru_cache
from hashlib import sha256
from itertools import chain, pairwise
from math import isfinite
from operator import lt
from struct import Struct
from struct import error as StructError  # noqa: N812 an exception's name
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    NoReturn,
    Self,
    TypeVar,
    dataclass_transform,
    get_args,
    get_type_hints,
)

from secagg.errors import DecodeError, ParameterError

LABEL_PREFIX = b"secagg/1 "
"""Starts every domain tag of hashes, keys and signatures; the digit is the version of the specification."""

T = TypeVar("T")
R = TypeVar("R", bound="Record")

_DOUBLE, _COUNT = Struct(">d"), Struct(">I")


def tagged_hash(label: str, *parts: bytes) -> bytes:
    """Return H(label, parts), 32 bytes: SHA-256 over the domain tag and the length-prefixed parts. Spec: 01-wire §2."""
    return sha256(tag(label) + prefixed(*parts)).digest()


@cache
def tag(label: str) -> bytes:
    """Return the domain tag of a label: version, label, zero byte."""
    return LABEL_PREFIX + label.encode("ascii") + b"\0"


def prefixed(*parts: bytes) -> bytes:
    """Return LP(parts): each part preceded by its length as u32."""
    return b"".join(
        [len(part).to_bytes(4, "big") + part for part in parts]
    )  # a list is faster, and this is called very often


def u16(value: int) -> bytes:
    """Return two bytes, big-endian: a site's index in hashes and keys."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Return four bytes, big-endian: a round's number in hashes and keys."""
    return value.to_bytes(4, "big")


def ascends(values: Sequence[Any]) -> bool:
    """Return whether each value is greater than the one before."""
    return all(map(lt, values, values[1:]))


class Source:
    """Untrusted bytes with a position; every read is checked against the end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int, expected: str) -> bytes:
        end = self.at + size
        if end > len(self.data):
            self.fail("V-0101", f"{expected} ends after the last byte")
        part = self.data[self.at : end]
        self.at = end
        return part

    def count(self) -> int:
        """Read the u32 count that precedes anything of variable length."""
        end = self.at + 4
        if end > len(self.data):
            self.fail("V-0101", "count ends after the last byte")
        (value,) = _COUNT.unpack_from(self.data, self.at)
        self.at = end
        return int(value)

    def skip(self, size: int, expected: str) -> None:
        end = self.at + size
        if end > len(self.data):
            self.fail("V-0101", f"{expected} ends after the last byte")
        self.at = end

    def fail(self, check: str, detail: str) -> NoReturn:
        raise DecodeError(check, f"at byte {self.at}: {detail}")


class Wire(ABC, Generic[T]):
    """The encoding of one kind of value."""

    @abstractmethod
    def write(self, out: bytearray, value: T) -> None:
        """Append the value's only encoding; raises ParameterError if it has none."""

    @abstractmethod
    def read(self, source: Source) -> T:
        """Read one value; raises DecodeError."""

    def skip(self, source: Source) -> None:
        """Check one value as `read` does, and move past it."""
        self.read(source)

    @abstractmethod
    def describe(self) -> str:
        """Return the description used in the layout tables of 01-wire."""

    @property
    def code(self) -> str:
        """Return the `struct` format of these values if all have the same size and accept any bytes, else ""."""
        return ""


@dataclass(frozen=True, slots=True)
class UInt(Wire[int]):
    """An unsigned big-endian integer of `size` bytes."""

    size: int

    def write(self, out: bytearray, value: int) -> None:
        try:
            out += value.to_bytes(self.size, "big")
        except OverflowError:
            raise ParameterError(f"{value} does not fit into {self.describe()}") from None

    def read(self, source: Source) -> int:
        return int.from_bytes(source.take(self.size, self.describe()), "big")

    def describe(self) -> str:
        return f"u{8 * self.size}"

    @property
    def code(self) -> str:
        return {1: "B", 2: "H", 4: "I", 8: "Q"}[self.size]


U8 = UInt(1)
U16 = UInt(2)
U32 = UInt(4)
U64 = UInt(8)


@dataclass(frozen=True, slots=True)
class Double(Wire[float]):
    """A finite IEEE 754 double, big-endian; minus zero has no encoding."""

    def write(self, out: bytearray, value: float) -> None:
        if not isfinite(value):
            raise ParameterError("only finite numbers can be encoded")
        out += _DOUBLE.pack(value + 0.0)  # turns -0.0 into 0.0

    def read(self, source: Source) -> float:
        raw = source.take(8, "f64")
        value: float = _DOUBLE.unpack(raw)[0]
        if not isfinite(value) or raw == b"\x80" + bytes(7):
            source.fail("V-0104", "the number is not finite or is minus zero")
        return value

    def describe(self) -> str:
        return "f64"


@dataclass(frozen=True, slots=True)
class Fixed(Wire[bytes]):
    """Exactly `size` bytes."""

    size: int

    def write(self, out: bytearray, value: bytes) -> None:
        if len(value) != self.size:
            raise ParameterError(f"{self.size} bytes expected, got {len(value)}")
        out += value

    def read(self, source: Source) -> bytes:
        return source.take(self.size, self.describe())

    def skip(self, source: Source) -> None:
        source.skip(self.size, "bytes")

    def describe(self) -> str:
        return f"{self.size} bytes"

    @property
    def code(self) -> str:
        return f"{self.size}s"


@dataclass(frozen=True, slots=True)
class Blob(Wire[bytes]):
    """Up to `limit` bytes preceded by their length as u32."""

    limit: int

    def write(self, out: bytearray, value: bytes) -> None:
        if len(value) > self.limit:
            raise ParameterError(f"at most {self.limit} bytes, got {len(value)}")
        out += u32(len(value)) + value

    def read(self, source: Source) -> bytes:
        return source.take(_read_count(source, self.limit, "bytes"), "bytes")

    def skip(self, source: Source) -> None:
        source.skip(_read_count(source, self.limit, "bytes"), "bytes")

    def describe(self) -> str:
        return f"u32 length, then at most {self.limit} bytes"


@dataclass(frozen=True, slots=True)
class Text(Wire[str]):
    """Printable ASCII of at most `limit` characters preceded by their length as u32: names, labels, never free text."""

    limit: int

    def write(self, out: bytearray, value: str) -> None:
        if len(value) > self.limit or not (value.isascii() and value.isprintable()):
            raise ParameterError(f"at most {self.limit} printable ASCII characters")
        out += u32(len(value)) + value.encode("ascii")

    def read(self, source: Source) -> str:
        raw = source.take(_read_count(source, self.limit, "characters"), "text")
        if not raw.isascii() or not (text := raw.decode("ascii")).isprintable():
            source.fail("V-0104", "text is not printable ASCII")
        return text

    def describe(self) -> str:
        return f"u32 length, then at most {self.limit} printable ASCII characters"


@dataclass(frozen=True, slots=True)
class Flag(Wire[bool]):
    """One byte, 0 or 1."""

    def write(self, out: bytearray, value: bool) -> None:
        out.append(1 if value else 0)

    def read(self, source: Source) -> bool:
        value = source.take(1, "flag")[0]
        if value > 1:
            source.fail("V-0104", "a flag must be 0 or 1")
        return value == 1

    def describe(self) -> str:
        return "u8, 0 or 1"


@dataclass(frozen=True, slots=True)
class Choice(Wire[IntEnum]):
    """One byte from an enumeration."""

    kind: type[IntEnum]

    def write(self, out: bytearray, value: IntEnum) -> None:
        out.append(int(value))

    def read(self, source: Source) -> IntEnum:
        value = source.take(1, self.kind.__name__)[0]
        try:
            return self.kind(value)
        except ValueError:
            source.fail("V-0104", f"{value} is not a {self.kind.__name__}")

    def describe(self) -> str:
        return "u8: " + ", ".join(f"{int(member)} {member.name.lower().replace('_', '-')}" for member in self.kind)


@dataclass(frozen=True, slots=True)
class Nested(Wire[R]):
    """A record inside a record."""

    kind: type[R]

    def write(self, out: bytearray, value: R) -> None:
        value.write(out)

    def read(self, source: Source) -> R:
        return self.kind.read(source)

    def describe(self) -> str:
        return self.kind.__name__


@dataclass(frozen=True, slots=True)
class Encoded(Wire[bytes]):
    """A record inside a record, kept as bytes for code that only hashes it and passes it on.

    Reading checks the bytes, so that `kind.decode` accepts them; bytes to write come from reading or from `encode`.
    """

    kind: "type[Record]"

    def write(self, out: bytearray, value: bytes) -> None:
        out += value

    def read(self, source: Source) -> bytes:
        begin = source.at
        self.skip(source)
        return source.data[begin : source.at]

    def skip(self, source: Source) -> None:
        for _, wire in layout(self.kind):
            wire.skip(source)

    def describe(self) -> str:
        return self.kind.__name__


@dataclass(frozen=True, slots=True)
class Seq(Wire[tuple[T, ...]]):
    """At most `limit` items preceded by their count as u32."""

    item: Wire[T]
    limit: int

    def write(self, out: bytearray, value: tuple[T, ...]) -> None:
        if len(value) > self.limit:
            raise ParameterError(f"at most {self.limit} items, got {len(value)}")
        out += u32(len(value))
        strings: Any = value
        if isinstance(self.item, Fixed) and {self.item.size}.issuperset(map(len, strings)):
            out += b"".join(strings)  # thousands of hashes and keys in one write
            return
        for item in value:
            self.item.write(out, item)

    def read(self, source: Source) -> tuple[T, ...]:
        count = _read_count(source, self.limit, "items")
        if self.item.code:  # thousands of hashes and seeds in one read
            return tuple(chain.from_iterable(_read_rows(source, self.item.code, count)))
        return tuple(self.item.read(source) for _ in range(count))

    def skip(self, source: Source) -> None:
        if isinstance(self.item, Fixed):
            source.skip(_read_count(source, self.limit, "items") * self.item.size, "a list")
        else:
            self.read(source)

    def describe(self) -> str:
        return f"u32 count, then at most {self.limit} of ({self.item.describe()})"


@dataclass(frozen=True, slots=True)
class Ascending(Wire[tuple[int, ...]]):
    """A set of integers: strictly ascending, so sorted and without duplicates."""

    item: UInt
    limit: int

    def write(self, out: bytearray, value: tuple[int, ...]) -> None:
        if not ascends(value):
            raise ParameterError("the numbers must be strictly ascending")
        if len(value) > self.limit:
            raise ParameterError(f"at most {self.limit} items, got {len(value)}")
        try:
            out += u32(len(value)) + Struct(f">{len(value)}{self.item.code}").pack(*value)
        except StructError:
            raise ParameterError(f"a number does not fit into {self.item.describe()}") from None

    def read(self, source: Source) -> tuple[int, ...]:
        count = _read_count(source, self.limit, "items")
        value = _numbers(source.take(count * self.item.size, f"a list of {count}"), self.item.code)
        if value is None:
            source.fail("V-0105", "the numbers are not strictly ascending")
        return value

    def describe(self) -> str:
        return f"u32 count, then at most {self.limit} strictly ascending {self.item.describe()}"


@dataclass(frozen=True, slots=True)
class Map(Wire[Mapping[int, T]]):
    """A map from integers with strictly ascending keys."""

    key: UInt
    item: Wire[T]
    limit: int

    def write(self, out: bytearray, value: Mapping[int, T]) -> None:
        if len(value) > self.limit:
            raise ParameterError(f"at most {self.limit} entries, got {len(value)}")
        out += u32(len(value))
        for key in sorted(value):
            self.key.write(out, key)
            self.item.write(out, value[key])

    def read(self, source: Source) -> dict[int, T]:
        count = _read_count(source, self.limit, "entries")
        if self.item.code:
            result = dict(rows := list(_read_rows(source, self.key.code + self.item.code, count)))
            if any(a >= b for (a, _), (b, _) in pairwise(rows)):
                source.fail("V-0105", "the keys of a map are not strictly ascending")
            return result
        result = {}
        last = -1
        for _ in range(count):
            key = self.key.read(source)
            if key <= last:
                source.fail("V-0105", "the keys of a map are not strictly ascending")
            result[key] = self.item.read(source)
            last = key
        return result

    def describe(self) -> str:
        return (
            f"u32 count, then at most {self.limit} of "
            f"(strictly ascending {self.key.describe()}, {self.item.describe()})"
        )


_struct = cache(Struct)


def _read_rows(source: Source, code: str, count: int) -> Iterator[tuple[Any, ...]]:
    row = _struct(">" + code)
    return row.iter_unpack(source.take(count * row.size, f"a list of {count}"))


@lru_cache(maxsize=32)  # lets sites in one process share a tuple of thousands of indices
def _numbers(data: bytes, code: str) -> tuple[int, ...] | None:
    value = tuple(number for (number,) in Struct(">" + code).iter_unpack(data))
    return value if ascends(value) else None


def _read_count(source: Source, limit: int, what: str) -> int:
    count = source.count()
    if count > limit:
        source.fail("V-0103", f"{count} {what}; the limit is {limit}")
    return count


Index = Annotated[int, U16]
Round = Annotated[int, U32]
Hash = Annotated[bytes, Fixed(32)]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[R]) -> type[R]:
    """Make a class a frozen, keyword-only dataclass that keeps the record's own secret-free `repr`."""
    return dataclass(frozen=True, slots=True, kw_only=True, repr=False)(cls)


class Record:
    """Base of all types with an encoding: message bodies, frames, states."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # set by `record`

    def encode(self) -> bytes:
        out = bytearray()
        self.write(out)
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a record that fills `data` completely.

        Raises:
            DecodeError: V-0101 truncated, V-0102 trailing bytes, V-0103 a count over its limit, V-0104 a forbidden
                value, V-0105 wrong order.
        """
        source = Source(bytes(data))
        value = cls.read(source)
        if source.at != len(source.data):
            source.fail("V-0102", f"{len(source.data) - source.at} bytes follow the last field")
        return value

    def write(self, out: bytearray) -> None:
        for name, wire in layout(type(self)):
            wire.write(out, getattr(self, name))

    @classmethod
    def read(cls, source: Source) -> Self:
        return cls(**{name: wire.read(source) for name, wire in layout(cls)})

    def __repr__(self) -> str:
        """Show only the sizes of bytes and arrays, so that no record can print a secret."""
        shown = (f"{field.name}={_sketch(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"


class Kept(Record):
    """Base of records that are hashed and passed on many times: they cache their bytes once encoded or read."""

    __slots__ = ("_bytes",)
    _bytes: bytes

    def encode(self) -> bytes:
        try:
            return self._bytes
        except AttributeError:
            out = bytearray()
            Record.write(self, out)
            object.__setattr__(self, "_bytes", bytes(out))
            return self._bytes

    def write(self, out: bytearray) -> None:
        out += self.encode()

    @classmethod
    def read(cls, source: Source) -> Self:
        begin = source.at
        value = cls(**{name: wire.read(source) for name, wire in layout(cls)})
        object.__setattr__(value, "_bytes", source.data[begin : source.at])  # a value has only one encoding
        return value


def layout(cls: type[Record]) -> tuple[tuple[str, Wire[Any]], ...]:
    """Return the fields of a record with their wire types, in wire order."""
    if cls not in _LAYOUTS:
        hints = get_type_hints(cls, include_extras=True)
        _LAYOUTS[cls] = tuple((field.name, _wire_of(hints[field.name])) for field in fields(cls))
    return _LAYOUTS[cls]


_LAYOUTS: dict[type, tuple[tuple[str, Wire[Any]], ...]] = {}


def _wire_of(hint: Any) -> Wire[Any]:
    for extra in get_args(hint)[1:]:
        if isinstance(extra, Wire):
            return extra
    if isinstance(hint, type) and issubclass(hint, Record):
        return Nested(hint)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return Choice(hint)
    raise TypeError(f"{hint!r} does not name a wire type")


def _sketch(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, (bool, int, float, str, Record)) or value is None:
        return repr(value)
    if isinstance(value, Mapping):
        return f"<{len(value)} entries>"
    return f"<{len(value)} items>" if hasattr(value, "__len__") else f"<{type(value).__name__}>"
