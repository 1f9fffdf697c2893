"""Which parameters of a query an analysis computes from earlier sums by arithmetic that machines round differently.

A site that replays an analysis holds these against its own within a tolerance, and everything else exactly: ranges,
edges, categories, filters, seeds and exponents are written in the plan, or follow from sums by steps that IEEE 754
rounds in one way.
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
    """Return what has to be equal in a model, as plain values, and the arrays of all marked fields, in order.

    In place of an array stands its shape.
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
