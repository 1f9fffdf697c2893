"""What is wrong with a value in a file or message, in words for people.

Pydantic's findings are written for programmers. These say what a person must change, and never repeat the value itself,
which may be a secret.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

_AT_MOST = 12  # a longer list of names helps nobody

_NUMBER, _WHOLE, _TEXT = "must be a number", "must be a whole number", "must be text"
_LIST, _TABLE, _TRUTH = "must be a list", "must be a table", "must be true or false"
_DATE = "must be a date such as 2020-01-31, without a time"
_PLAIN = {
    "missing": "is missing",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "string_type": _TEXT,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "date_from_datetime_parsing": _DATE,
    "uuid_parsing": "must be an ID such as 7f4f5a0e-4a5e-4ad4-a6e1-0d4a7e6d6d55",
}
_LIMITED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda limit: f"must be at least {limit['ge']}",
    "greater_than": lambda limit: f"must be above {limit['gt']}",
    "less_than_equal": lambda limit: f"must be at most {limit['le']}",
    "less_than": lambda limit: f"must be below {limit['lt']}",
    "literal_error": lambda limit: f"must be {limit['expected']}",
    "enum": lambda limit: f"must be {limit['expected']}",
    "too_short": lambda limit: f"must have at least {limit['min_length']} entries",
    "too_long": lambda limit: f"must have at most {limit['max_length']} entries",
    "string_too_short": lambda limit: f"must have at least {limit['min_length']} characters",
    "string_too_long": lambda limit: f"must have at most {limit['max_length']} characters",
    "json_invalid": lambda limit: f"is not valid JSON: {limit['error']}",
    "string_pattern_mismatch": lambda limit: f"must match the pattern {limit['pattern']}",
}


def in_words(place: str, problem: Mapping[str, Any], model: Any = None) -> str:
    """Return one of pydantic's findings as `place must be ...` or `place: complaint`.

    Args:
        place: where it was found, in the reader's terms; may be empty.
        problem: an item of `ValidationError.errors()`; its input is ignored.
        model: model that refused the value, for the names that it knows.
    """
    complaint = _complaint(problem, model)
    if complaint.startswith(("is ", "must ")):
        return f"{place or 'it'} {complaint}"
    return f"{place}: {complaint}" if place else complaint


def _complaint(problem: Mapping[str, Any], model: Any) -> str:
    kind, limits = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return "is unknown" + _instead(str(problem["loc"][-1]), _members(model, problem["loc"][:-1]))
    if kind in _LIMITED:
        return _LIMITED[kind](limits)
    said: str = _PLAIN.get(kind) or problem["msg"]
    return said.removeprefix("Value error, ")


def _instead(name: str, known: Sequence[str]) -> str:
    """Return what may have been meant, as the end of a sentence."""
    if near := get_close_matches(name, known, n=1):
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(known)}" if 0 < len(known) <= _AT_MOST else ""


def _members(model: Any, path: Sequence[int | str]) -> list[str]:
    """Return the names that a model knows at a place; empty if there is no single model there."""
    here = [model]
    for part in path:
        fields = (getattr(one, "model_fields", {}).get(part) for one in here)
        inner = [model for field in fields if field is not None for model in _models(field.annotation)]
        here = inner or here  # a number or key leads into a list or table of models
    names = [sorted(one.model_fields) for one in here if hasattr(one, "model_fields")]
    return names[0] if len(names) == 1 else []


def _models(annotation: Any) -> Iterator[Any]:
    """Yield the models in a type such as `tuple[Model, ...] | None`."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
