"""A site's entry in a project's catalogue: which variables the site has, their coding, and roughly how many rows.

Entries are public within the project. They give numbers of rows and missing values only in bands, which hide small
counts and differences between imports: below the floor, an entry says only that; above it, bands end at powers of two.
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
"""Name of the run, and of its parcels, in which a project's sites send their entries."""

_LABEL = "catalogue"

VariableKind = Literal["integer", "real", "boolean", "category"]
Share = Literal["none", "some", "a quarter", "half", "most"]


class CatalogueError(ParameterError):
    """A catalogue entry is malformed, or is not signed by the site that it names."""


class Band(Strict):
    """At least `low` rows and fewer than `high`; the lowest band begins at 0 and ends at the floor."""

    low: int = Field(ge=0)
    high: int = Field(ge=1)

    @classmethod
    def of(cls, rows: int) -> "Band":
        """Return the band that contains a number of rows."""
        low, high = _edges(rows)
        return cls(low=low, high=high)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.low, self.high) != _edges(self.low):
            raise ValueError("these are not the limits of a band")
        return self

    def __str__(self) -> str:
        return f"{self.low:,} to {self.high - 1:,}" if self.low else f"fewer than {self.high}"


class HeldVariable(Strict):
    """A variable that the site has.

    Attributes:
        code: code of the variable.
        type: type of the site's column.
        unit: unit of its values.
        categories: coding of its categories.
        mapped: whether the site mapped the column to the project's definition, rather than only using its name.
        missing: approximate share of rows without a value; `none` only for tables at least as large as the floor.
    """

    code: Name
    type: VariableKind
    unit: Unit = ""
    categories: tuple[CategoryLabel, ...] = ()
    mapped: bool
    missing: Share


class CatalogueEntry(Strict):
    """A site's published description of its dataset within a project.

    Attributes:
        format: version of this document's format.
        project: ID of the project, 32 hexadecimal digits.
        dataset: name of the dataset.
        version: version of the site's import.
        rows: band of its number of rows.
        variables: the project's variables that the site has, sorted by code.
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
            CatalogueError: the bytes are too long, not an entry, or not in canonical form.
        """
        if len(data) > MAX_ENTRY_BYTES:
            raise CatalogueError(
                f"a catalogue entry may have at most {MAX_ENTRY_BYTES} bytes; this one has {len(data)}"
            )
        try:
            entry = cls.model_validate_json(data)
        except ValidationError as error:
            raise CatalogueError(f"this is not a catalogue entry: {in_words(error)}") from None
        if entry.encode() != data:
            raise CatalogueError("the catalogue entry is not in canonical form (RFC 8785)")
        return entry


class SignedEntry(NamedTuple):
    """An entry with its site's key and signature."""

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
        """Decode an entry and verify its signature. The caller checks that the key belongs to the project.

        Raises:
            CatalogueError: the bytes are malformed or the signature is wrong.
        """
        head = 32 + SIGNATURE_BYTES
        site, signature, entry = data[:32], data[32:head], CatalogueEntry.decode(data[head:])
        try:
            verify(site, _LABEL, _hash(entry), signature)
        except (InvalidSignatureError, ValueError):
            raise CatalogueError("the site that the catalogue entry names did not sign it") from None
        return cls(site, entry, signature)


def share(missing: int, rows: int) -> Share:
    """Return the approximate share of missing rows. Small tables never claim that nothing or everything is missing."""
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
