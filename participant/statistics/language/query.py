"""The query: a request for one statistic, as one type with one encoding.

The canonical bytes are RFC 8785 JSON. The hash of these bytes enters the context of the round's mask keys, so the sum
of sites that were shown different queries cannot be unmasked; each meaning therefore has exactly one encoding. Columns
and comparisons are sorted, no member has a default on the wire, and bytes in any form but the canonical one are
refused.
"""

from typing import Annotated, Any, Literal

import rfc8785
from pydantic import AfterValidator, BaseModel, Field, JsonValue, ValidationError

from participant.statistics.language.conditions import (
    MAX_COMPARISONS,
    NAME_PATTERN,
    Condition,
    Name,
    Strict,
    comparisons,
    ordered,
)
from secagg import __version__, complaints
from secagg.errors import ParameterError

__all__ = [
    "MAX_COLUMNS",
    "MAX_PERSONS",
    "MAX_VALUE_BITS",
    "MIN_VALUE_BITS",
    "NAME_PATTERN",
    "Name",
    "Query",
    "QueryError",
    "Strict",
]

MAX_QUERY_BYTES = 256 << 10
MAX_DEPTH = 12
MAX_COLUMNS = 512
MIN_VALUE_BITS = 8
MAX_VALUE_BITS = 60  # nine sites and 60 bits fill the ring of 64
MAX_PERSONS = 1000  # no floor needs to be higher
MAX_EXPONENT = 900  # exponent of two: neither a range nor its step exceeds the range of a double
_WHOLE = 1 << 53  # from here on, a JSON number is a double and cannot represent every integer

Json = dict[str, JsonValue]


class QueryError(ParameterError):
    """The bytes are not a query, or the query asks for something that does not exist; the message says which."""


def _ordered_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _few(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    if sum(1 for _ in comparisons(conditions)) > MAX_COMPARISONS:
        raise ValueError(f"a filter may have at most {MAX_COMPARISONS} comparisons")
    return conditions


class Query(Strict):
    """A request for one statistic over the rows of one dataset.

    Attributes:
        statistic: name of the statistic in the vocabulary.
        version: version of the statistic; a site with another version refuses and says so.
        dataset: name under which every site keeps its table.
        columns: columns that the statistic reads, sorted; they determine whether a row is complete.
        filter: conditions, all of which a row must meet, sorted.
        missing: ``complete-cases`` leaves out rows with a missing value in `columns`; ``keep`` passes the missing
            values as NaN to statistics that count them.
        minimum_persons: minimum number of persons that a site's numbers may stand for without being hidden in the sum
            (`suppression`); 1 for no floor.
        pooled: whether the floor holds over all sites, which open the sum together and publish only what it allows
            (`participant.statistics.evaluation.pooled`); otherwise each site applies it to its own numbers. Queries of
            the second kind do not mention it, as before there was a first.
        value_bits: bits of a quantised real value, including the sign.
        ranges: None for the bounds proven from the parameters; or, for each group of real entries, the power of
            two that bounds it at every site, as found by a round of `ranges`.
        params: input for the statistic's own `Params`, which checks the canonical form.
    """

    statistic: Name
    version: int = Field(ge=1, le=1 << 16)
    dataset: Name
    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_COLUMNS), AfterValidator(_ordered_names)]
    filter: Annotated[
        tuple[Condition, ...], Field(max_length=MAX_COMPARISONS), AfterValidator(ordered), AfterValidator(_few)
    ] = ()
    missing: Literal["complete-cases", "keep"] = "complete-cases"
    minimum_persons: int = Field(default=1, ge=1, le=MAX_PERSONS)
    pooled: bool = Field(default=False, exclude_if=lambda pooled: not pooled)
    value_bits: int = Field(ge=MIN_VALUE_BITS, le=MAX_VALUE_BITS)
    ranges: tuple[Annotated[int, Field(ge=-MAX_EXPONENT, le=MAX_EXPONENT)], ...] | None = None
    params: Json

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns to load, for the statistic and the filter, sorted."""
        return _ordered_names(self.columns + tuple(name for one in comparisons(self.filter) for name in one.columns))

    def encode(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            QueryError: `params` holds NaN, infinity or deeper nesting than allowed, or the query is too long.
        """
        data = canonical(self.model_dump(mode="json"))
        if len(data) > MAX_QUERY_BYTES:
            raise QueryError(f"a query may have at most {MAX_QUERY_BYTES} bytes; this one has {len(data)}")
        return data

    @classmethod
    def decode(cls, data: bytes) -> "Query":
        """Decode a query from untrusted bytes.

        Raises:
            QueryError: the bytes are too long, not JSON, not a query, or not in canonical form.
        """
        if len(data) > MAX_QUERY_BYTES:
            raise QueryError(f"a query may have at most {MAX_QUERY_BYTES} bytes; this one has {len(data)}")
        try:
            query = cls.model_validate_json(data)
        except ValidationError as error:
            raise QueryError(
                f"this is not a query that release {__version__} knows; upgrade it if the coordinator's is newer: "
                f"{in_words(error)}"
            ) from None
        if query.encode() != data:
            raise QueryError("the query is not in canonical form (RFC 8785, names and conditions sorted)")
        return query


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of a JSON value.

    Raises:
        QueryError: the value holds NaN, infinity, text that is not Unicode, or deeper nesting than allowed.
    """
    try:
        return rfc8785.dumps(_as_doubles(value, MAX_DEPTH))
    except rfc8785.CanonicalizationError as error:
        raise QueryError(f"the query has no canonical form: {error}") from None


def _as_doubles(value: JsonValue, depth: int) -> Any:
    """Return the value with integers beyond JSON's exact range as doubles, as every JSON reader would see them."""
    if isinstance(value, (dict, list)) and depth == 0:
        raise QueryError(f"a query may nest at most {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {name: _as_doubles(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item, depth - 1) for item in value]
    if isinstance(value, int) and abs(value) >= _WHOLE:
        return _as_double(value)
    return value


def _as_double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise QueryError("a number exceeds the range of a double") from None


def in_words(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Return pydantic's findings, each with its place, and without the values themselves.

    Args:
        error: the findings.
        model: model that refused the value; names that are nearly those it knows are then suggested.
    """
    found = error.errors(include_input=False, include_url=False)[:5]
    return "; ".join(complaints.in_words(_place(item["loc"]), item, model) for item in found)


def _place(loc: tuple[int | str, ...]) -> str:
    # A member's name may come from outside: keep it printable ASCII of bounded length, so that it cannot forge log
    # lines.
    return ascii(".".join(str(part) for part in loc)[:80])[1:-1]
