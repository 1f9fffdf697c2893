"""Tells which letters after a number are a unit.

`1a`, `2a`, `3a` may be stages and `17JAN2023` is a date, so only units in common use count: an SI unit with or
without a prefix, a unit of clinical laboratories, and products and powers of these (`mmol/l`, `kg/m2`, `10^9/l`,
`mL/min/1.73m2`). Single letters that are as often codes (a, d, m, y ...) do not count: a site that means them declares
them.
"""

import re

import polars as pl

_PREFIX = "(?:da|[YZEPTGMkhdcmµunpf])"
_SCALED = "(?:mol|eq|Eq|[Oo]sm|kat|IU|IE|Pa|Hz|Da|Gy|Sv|Bq|Ci|cal|bar|eV|gram|[gmlLsJWVNUA])"
_WHOLE = (
    "(?:g|l|L|s|h|U|%|‰|°|°C|°F|mol|IU|IE|min|sec|hr|hrs|wk|mo|yr|yrs|day|days|week|weeks|month|months|year|years|hour|hours"
    "|Tage?|Jahre?|Monate?|Wochen?|Stunden?|Std|Min|Sek|mmHg|cmH2O|mmH2O|bpm|rpm|dpt|ppm|ppb|bar|kg|lb|lbs|oz|inch|ft|cells?"
    "|m\\^?[23]|m[²³]|copies|kcal|dB|Zellen|beats|Gy|Sv|Pa|Hz|Bq|Ci|kat|cal)"
)
_POWER = r"(?:\^?-?[0-9]|[²³])?"
_TERM = f"(?:{_WHOLE}|{_PREFIX}{_SCALED}){_POWER}"
_INNER = f"(?:{_TERM}|[mdaKAFC]{_POWER}|(?:10|x10)\\^?[0-9]{{1,2}}|[0-9]+(?:\\.[0-9]+)?(?:{_TERM}|m{_POWER})?)"
_KNOWN = f"^(?:{_TERM}|{_INNER}(?:[/.*·]{_INNER})+)$"


def known(units: pl.Series) -> pl.Series:
    """Return a mask of the texts that are units."""
    return units.str.replace_all("\u03bc", "\u00b5").str.contains(_KNOWN)


def is_known(unit: str) -> bool:
    """Return whether a text is a unit."""
    return re.search(_KNOWN, unit.replace("\u03bc", "\u00b5")) is not None
