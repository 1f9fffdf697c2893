"""Statistics that wrap another one: how a query names the inner statistic, and how that is found."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from participant.statistics.language.conditions import Name
from participant.statistics.language.query import Json, Query, QueryError, canonical, in_words
from participant.statistics.language.statistic import Params, Statistic


class AroundParams(Params):
    """The parameters that name the inner statistic.

    Attributes:
        statistic, version, params: members of a query for that statistic, with the same row limit.
    """

    statistic: Name
    version: int = Field(ge=1, le=1 << 16)
    params: Json

    @model_validator(mode="after")
    def _check_row_limit(self) -> Self:
        if self.params.get("row_limit") != self.row_limit:
            raise ValueError("the row limit must equal that of the inner statistic")
        return self


def inner(of: Mapping[str, Statistic[Any]], params: AroundParams) -> tuple[Statistic[Any], Any]:
    """Return the inner statistic and its parameters.

    Args:
        of: statistics that can be wrapped, by name.
        params: parameters that name the inner statistic.

    Raises:
        QueryError: the inner statistic is not one of these, or its parameters are invalid or not canonical.
    """
    statistic = of.get(params.statistic)
    if statistic is None or statistic.version != params.version:
        raise QueryError(f"{params.statistic} version {params.version} cannot be used inside another statistic")
    try:
        given = statistic.Params.model_validate_json(canonical(params.params))
    except ValidationError as error:
        raise QueryError(f"the parameters of {statistic.name} are invalid: {in_words(error)}") from None
    if given.model_dump(mode="json") != params.params:  # as values: the query as a whole is already canonical
        raise QueryError(f"the parameters of {statistic.name} are not in canonical form")
    return statistic, given


def names_in(query: Query) -> tuple[str, ...]:
    """Return the names of a query's statistic and of any inside it, since each of them discloses something."""
    names, params = [query.statistic], query.params
    while isinstance(name := params.get("statistic"), str) and isinstance(inside := params.get("params"), dict):
        names.append(name)
        params = inside
    return tuple(names)
