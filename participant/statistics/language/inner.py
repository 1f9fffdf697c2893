"""Statistics around another one: what a query says of the inner one, and how it is found."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from participant.statistics.language.conditions import Name
from participant.statistics.language.query import Json, Query, QueryError, canonical, in_words
from participant.statistics.language.statistic import Params, Statistic


class AroundParams(Params):
    """Which statistic.

    Attributes:
        statistic, version, params: as in the query for that statistic itself, with the same row limit.
    """

    statistic: Name
    version: int = Field(ge=1, le=1 << 16)
    params: Json

    @model_validator(mode="after")
    def _check_row_limit(self) -> Self:
        if self.params.get("row_limit") != self.row_limit:
            raise ValueError("the row limit is that of the statistic inside")
        return self


def inner(of: Mapping[str, Statistic[Any]], params: AroundParams) -> tuple[Statistic[Any], Any]:
    """Return the statistic inside, and its parameters.

    Args:
        of: those that can be inside, by name.
        params: which one it is.

    Raises:
        QueryError: it is none of them, or its parameters are wrong or not canonical.
    """
    statistic = of.get(params.statistic)
    if statistic is None or statistic.version != params.version:
        raise QueryError(f"{params.statistic} in version {params.version} is not known here inside another statistic")
    try:
        given = statistic.Params.model_validate_json(canonical(params.params))
    except ValidationError as error:
        raise QueryError(f"the parameters of {statistic.name} are wrong: {in_words(error)}") from None
    if given.model_dump(mode="json") != params.params:  # as values: the whole is in its canonical form already
        raise QueryError(f"the parameters of {statistic.name} are not in their canonical form")
    return statistic, given


def names_in(query: Query) -> tuple[str, ...]:
    """Return the name of the statistic that a query asks for, and of those inside it: all of them tell something."""
    names, params = [query.statistic], query.params
    while isinstance(name := params.get("statistic"), str) and isinstance(inside := params.get("params"), dict):
        names.append(name)
        params = inside
    return tuple(names)
