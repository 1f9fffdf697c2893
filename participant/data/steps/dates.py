"""Formats of dates, with or without a time of day after them."""

import polars as pl

SHAPES = {
    "%Y-%m-%d": r"\d{4}-\d{1,2}-\d{1,2}",
    "%d.%m.%Y": r"\d{1,2}\.\d{1,2}\.\d{4}",
    "%d/%m/%Y": r"\d{1,2}/\d{1,2}/\d{4}",
    "%m/%d/%Y": r"\d{1,2}/\d{1,2}/\d{4}",
    "%Y/%m/%d": r"\d{4}/\d{1,2}/\d{1,2}",
    "%d-%m-%Y": r"\d{1,2}-\d{1,2}-\d{4}",
    "%m-%d-%Y": r"\d{1,2}-\d{1,2}-\d{4}",
    "%d%b%Y": r"\d{1,2}[A-Za-z]{3}\d{4}",  # SAS
    "%d-%b-%Y": r"\d{1,2}-[A-Za-z]{3}-\d{4}",  # Oracle
    "%d %b %Y": r"\d{1,2} [A-Za-z]{3} \d{4}",
}
RIVALS = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"))
"""Pairs of formats that only a day after the twelfth tells apart."""
SHORT_YEAR = r"^\d{1,2}[./-]\d{1,2}[./-]\d{2}$|^\d{1,2}-?[A-Za-z]{3}-?\d{2}$"
COMPACT = r"^(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"
_TIME = (
    r"(?:[ T:](?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?: ?[AaPp][Mm])?"
    r"(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)"
)
_MIDNIGHT = r"[ T:]0?0:00(?::00(?:[.,]0{1,9})?)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?$"


def parse_dates(cells: pl.Series, form: str) -> pl.Series:
    """Return the dates of cells that have exactly this format, null for others.

    If the format has hours, the time of day is left out.
    """
    if "%H" in form or "%I" in form:
        return cells.str.to_datetime(form, strict=False).dt.date()
    return cells.str.to_date(form, strict=False)


def parse_moments(cells: pl.Series, form: str) -> pl.Series:
    """Return the dates of cells in a format of `SHAPES`, even if a time of day follows; null for others."""
    return cells.str.extract(f"^({SHAPES[form]}){_TIME}?$", 1).str.to_date(form, strict=False)


def with_time(cells: pl.Series) -> pl.Series:
    """Return which cells end in a time of day other than midnight."""
    return cells.str.contains(f"{_TIME}$") & ~cells.str.contains(_MIDNIGHT)
