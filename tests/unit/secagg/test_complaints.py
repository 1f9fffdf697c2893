"""What a person reads about a value that was refused."""

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from secagg.complaints import in_words


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: float = Field(gt=0, allow_inf_nan=False)
    count: int = Field(ge=1, le=9)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["one", "two"] = "one"
    on: bool = False
    name: str = Field(default="a", min_length=1, max_length=3, pattern="^[a-z]+$")
    grid: Inner | None = None
    grids: tuple[Inner, ...] = Field(default=(), max_length=2)
    named: dict[str, Inner] = Field(default_factory=dict)

    @field_validator("kind")
    @classmethod
    def _check(cls, kind: str) -> str:
        if kind == "two":
            raise ValueError("two is not offered today")
        return kind


GRID = {"width": 1, "count": 1}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"knd": "one"}, "knd is unknown; did you mean kind?"),
        ({"colour": 1}, "colour is unknown; known are grid, grids, kind, name, named, on"),
        ({"grid": GRID | {"cont": 1}}, "grid.cont is unknown; did you mean count?"),
        ({"grids": [GRID, GRID | {"cont": 1}]}, "grids.1.cont is unknown; did you mean count?"),
        ({"named": {"a": GRID | {"cont": 1}}}, "named.a.cont is unknown; did you mean count?"),
        ({"grid": {"width": 1}}, "grid.count is missing"),
        ({"grid": GRID | {"width": 0}}, "grid.width must be above 0.0"),
        ({"grid": GRID | {"width": "far"}}, "grid.width must be a number"),
        ({"grid": GRID | {"width": float("inf")}}, "grid.width must be a finite number"),
        ({"grid": GRID | {"count": 1.5}}, "grid.count must be a whole number"),
        ({"grid": GRID | {"count": 0}}, "grid.count must be at least 1"),
        ({"grid": GRID | {"count": 10}}, "grid.count must be at most 9"),
        ({"grid": 3}, "grid must be a table"),
        ({"grids": 3}, "grids must be a list"),
        ({"grids": [GRID] * 3}, "grids must have at most 2 entries"),
        ({"kind": "three"}, "kind must be 'one' or 'two'"),
        ({"kind": "two"}, "kind: two is not offered today"),
        ({"on": "perhaps"}, "on must be true or false"),
        ({"name": 3}, "name must be text"),
        ({"name": ""}, "name must have at least 1 characters"),
        ({"name": "abcd"}, "name must have at most 3 characters"),
        ({"name": "A"}, "name must match the pattern ^[a-z]+$"),
    ],
)
def test_a_finding_says_what_to_change(given, said):
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(given)
    (problem,) = refused.value.errors()
    assert in_words(".".join(map(str, problem["loc"])), problem, Outer) == said


def test_without_a_place_it_is_meant():
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate_json("{")
    (problem,) = refused.value.errors()
    assert in_words("", problem).startswith("it is not valid JSON: EOF")
