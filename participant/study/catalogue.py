"""A site's entry in a project's catalogue: which variables the site has, how they are coded, and about how many rows.

What an entry tells is public to the project. Rows and missing values are told in bands alone, so that no small count
and no difference of two imports shows: below the floor an entry says only that, above it the band is a power of two.
"""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from participant.statistics.language.definitions import CategoryLabel, Unit
from participant.statistics.language.query import Name, Strict, canonical, in_words
from secagg.codec import tagged_hash
from secagg.errors import ParameterError
from secagg.identity import SIGNATURE_BYTES, Identity, InvalidSignatureError, verify

FLOOR = 32
MAX_ENTRY_BYTES = 256 << 10
RUN_NAME = "catalogue"
"""Name of the run in which the sites of a project send their entries, as parcels of this name."""

_LABEL = "catalogue"

Share = Literal["none", "some", "a quarter", "half", "most"]


class CatalogueError(ParameterError):
    """An entry of a catalogue is malformed, or not signed by the site that it names."""


class Band(Strict):
    """At least `low` rows and fewer than `high`; the lowest band begins at 0 and ends at the floor."""

    low: int = Field(ge=0)
    high: int = Field(ge=1)

    @classmethod
    def of(cls, rows: int) -> "Band":
        """Return the band of a number of rows."""
        low, high = _edges(rows)
        return cls(low=low, high=high)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.low, self.high) != _edges(self.low):
            raise ValueError("this is no band")
        return self

    def __str__(self) -> str:
        return f"{self.low:,} to {self.high - 1:,}" if self.low else f"fewer than {self.high}"


class HeldVariable(Strict):
    """A variable that the site has.

    Attributes:
        code: its code.
        type: of the site's column.
        unit, categories: its coding.
        mapped: whether it was mapped to the project's definition, or only has its name.
        missing: about which share of the rows lacks it; `none` is told in tables of the floor's size and more alone.
    """

    code: Name
    type: Literal["integer", "real", "boolean", "category"]
    unit: Unit = ""
    categories: tuple[CategoryLabel, ...] = ()
    mapped: bool
    missing: Share


class CatalogueEntry(Strict):
    """What a site publishes about its dataset in a project.

    Attributes:
        format: of this document.
        project: ID of the project, 32 hexadecimal digits.
        dataset: its name.
        version: of the site's import.
        rows: band of its rows.
        variables: those of the project's columns that the site has, sorted by code.
    """

    format: Literal[1] = 1
    project: str = Field(pattern="^[0-9a-f]{32}$")
    dataset: Name
    version: int = Field(ge=1)
    rows: Band
    variables: Annotated[tuple[HeldVariable, ...], Field(max_length=512)]

    def encode(self) -> bytes:
        """Return the canonical bytes (RFC 8785)."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def decode(cls, data: bytes) -> "CatalogueEntry":
        """Read an entry from untrusted bytes.

        Raises:
            CatalogueError: too long, no entry, or not the canonical form of what it means.
        """
        if len(data) > MAX_ENTRY_BYTES:
            raise CatalogueError(f"an entry has at most {MAX_ENTRY_BYTES} bytes, this one has {len(data)}")
        try:
            entry = cls.model_validate_json(data)
        except ValidationError as error:
            raise CatalogueError(f"this is no entry of a catalogue: {in_words(error)}") from None
        if entry.encode() != data:
            raise CatalogueError("the entry is not in its canonical form (RFC 8785)")
        return entry


class SignedEntry(NamedTuple):
    """An entry with the key and the signature of its site."""

    site: bytes
    entry: CatalogueEntry
    signature: bytes

    @classmethod
    def sign(cls, entry: CatalogueEntry, identity: Identity) -> "SignedEntry":
        return cls(identity.public, entry, identity.sign(_LABEL, _hash(entry)))

    def encode(self) -> bytes:
        """Return key, signature and entry as bytes."""
        return self.site + self.signature + self.entry.encode()

    @classmethod
    def decode(cls, data: bytes) -> "SignedEntry":
        """Read an entry and check its signature. Whether the key belongs to the project, the caller decides.

        Raises:
            CatalogueError: it is malformed, or the signature is wrong.
        """
        head = 32 + SIGNATURE_BYTES
        site, signature, entry = data[:32], data[32:head], CatalogueEntry.decode(data[head:])
        try:
            verify(site, _LABEL, _hash(entry), signature)
        except (InvalidSignatureError, ValueError):
            raise CatalogueError("the entry is not signed by the site that it names") from None
        return cls(site, entry, signature)


def share(missing: int, rows: int) -> Share:
    """Return about which share of the rows is missing. Small tables never say that nothing or everything is."""
    part = missing / rows
    if not missing and rows >= FLOOR:
        return "none"
    return "some" if part < 0.25 else "a quarter" if part < 0.5 else "half" if part < 0.75 else "most"


def _edges(rows: int) -> tuple[int, int]:
    if rows < FLOOR:
        return 0, FLOOR
    low = 1 << (rows.bit_length() - 1)
    return low, 2 * low


def _hash(entry: CatalogueEntry) -> bytes:
    return tagged_hash("catalogue", entry.encode())
