"""Notations of numbers: a decimal point or comma, groups of thousands, an exponent, a unit at the end."""

import polars as pl

CODE = r"^[+-]?(?:0[0-9]|[0-9]{16})"
"""A number with a leading zero, or with more digits than a double holds, is a code."""
GAP = "'\u2019\u00a0\u202f\u2009 "  # between thousands, in many countries
_POWER = "(?:[eE][+-]?[0-9]{1,4})?"
# A group of thousands follows one to three digits, the first of which is not 0: 0.875 has none.
GROUPED = {mark: f"[1-9][0-9]{{0,2}}(?:[{other}{GAP}][0-9]{{3}})+" for mark, other in ((".", ","), (",", "."))}
_DECIMAL = {
    ".": rf"[0-9]+\.?[0-9]*{_POWER}|\.[0-9]+{_POWER}",
    ",": rf"[0-9]+(?:,[0-9]*)?{_POWER}|,[0-9]+{_POWER}",
}
NUMBER = {
    ".": rf"[+-]?(?:{GROUPED['.']}(?:\.[0-9]+)?|{_DECIMAL['.']})",
    ",": rf"[+-]?(?:{GROUPED[',']}(?:,[0-9]+)?|{_DECIMAL[',']})",
}
_UNIT = (
    r"[A-Za-z\u00b5\u03bc\u00b0%\u2030\u03a9][A-Za-z0-9\u00b5\u03bc\u00b0%\u2030\u03a9/.^\u00b2\u00b3\u00b7*-]{0,15}"
)
WITH_UNIT = {mark: rf"^({number})\s*({_UNIT})?$" for mark, number in NUMBER.items()}


def parse_numbers(cells: pl.Series, mark: str) -> tuple[pl.Series, pl.Series]:
    """Return the finite numbers with this decimal mark, null for other cells, and the units after them."""
    parts = cells.str.extract_groups(WITH_UNIT[mark]).struct
    plain = parts[0].str.replace_all(f"[{GAP}{',' if mark == '.' else '.'}]", "")
    numbers = plain.str.replace(mark, ".", literal=True).cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite().fill_null(value=False), None), parts[1]
