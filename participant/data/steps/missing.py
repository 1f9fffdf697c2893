"""Codes of missing values, compared as values: -9 means the cell `-9`, `-9.0`, `-9,0`, `-9 kg` and the double -9."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import polars as pl

from participant.data.steps.numbers import CODE, parse_numbers


class MissingCodes(NamedTuple):
    """Codes that stand for a missing value.

    Attributes:
        words: codes as written.
        values: codes that are numbers.
        days: codes that are dates.
    """

    words: frozenset[str]
    values: frozenset[float]
    days: frozenset[date]

    @classmethod
    def of(cls, codes: Iterable[str]) -> "MissingCodes":
        """Read codes; a number that can be read in two ways has a decimal point."""
        words = frozenset(codes)
        texts = pl.Series(sorted(words), dtype=pl.String)
        point, comma = parse_numbers(texts, ".")[0], parse_numbers(texts, ",")[0]
        numbers = point.zip_with(point.is_not_null(), comma).drop_nulls()
        return cls(words, frozenset(numbers), frozenset(texts.str.to_date("%Y-%m-%d", strict=False).drop_nulls()))

    def among(self, cells: pl.Series, *, units: bool = True) -> pl.Series:
        """Return which text cells are a code, whatever the decimal mark; with `units`, also before a unit."""
        found = _equal(cells, self.words)
        if not self.values or not len(cells):
            return found
        plain = cells.cast(pl.Float64, strict=False)
        found |= self.equal(plain) & ~cells.str.contains(CODE).fill_null(value=False)
        left = cells.is_not_null() & plain.is_null() & cells.str.contains("[0-9]").fill_null(value=False)
        if not left.any():
            return found
        rows = left.arg_true()
        texts = cells.gather(rows)
        point, unit = parse_numbers(texts, ".")
        comma, other = parse_numbers(texts, ",")
        same = (self.equal(point) | point.is_null()) & (self.equal(comma) | comma.is_null())
        same &= point.is_not_null() | comma.is_not_null()
        if not units:
            same &= unit.is_null() & other.is_null() & ~texts.str.contains(CODE)
        return found | pl.repeat(value=False, n=len(cells), dtype=pl.Boolean, eager=True).scatter(rows, same)

    def equal(self, numbers: pl.Series) -> pl.Series:
        """Return which numbers are a code."""
        if not self.values:
            return pl.repeat(value=False, n=len(numbers), dtype=pl.Boolean, eager=True)
        return numbers.cast(pl.Float64).is_in(list(self.values)).fill_null(value=False)


def _equal(cells: pl.Series, words: frozenset[str]) -> pl.Series:
    """Return which cells are one of these words."""
    if len(words) == 1:  # the usual case, which needs no table of words
        return (cells == next(iter(words))).fill_null(value=False)
    return cells.is_in(list(words)).fill_null(value=False)
