"""Marker for query parameters that analyses compute from earlier sums, and that machines may round differently.

A site that replays an analysis compares these with its own values within a tolerance, and all else exactly: ranges,
edges, categories, filters, seeds and exponents are part of the plan, or follow from sums by steps that IEEE 754 rounds
uniquely.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import BaseModel

from participant.statistics.language.layout import Array


class FromSums:
    """Marks a field: `coefficients: Annotated[tuple[float, ...], FROM_SUMS]`."""


FROM_SUMS = FromSums()


def split(model: BaseModel) -> tuple[dict[str, Any], list[Array]]:
    """Return a model's exact part, as plain values, and the arrays of all marked fields, in order.

    In the exact part, each array is replaced by its shape.
    """
    found: list[Array] = []
    return _exact(model, found), found


def _exact(model: BaseModel, found: list[Array]) -> dict[str, Any]:
    return dict(_members(model, found))


def _members(model: BaseModel, found: list[Array]) -> Iterator[tuple[str, Any]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if FROM_SUMS in field.metadata and value is not None:
            array = np.asarray(value, np.float64)
            found.append(array)
            yield name, {"shape": list(array.shape)}
        else:
            yield name, _plain(value, found)


def _plain(value: Any, found: list[Array]) -> Any:
    if isinstance(value, BaseModel):
        return _exact(value, found)
    if isinstance(value, tuple):
        return [_plain(one, found) for one in value]
    return value
