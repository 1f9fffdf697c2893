"""The model of epoch and round (specs/model): its properties hold, and the search can find every violation."""

from functools import cache

import pytest

from specs.model import disclosure, rounds, setup
from specs.model.cases import CASES, REMOVALS, Case, Removal
from specs.model.rounds import Rounds
from specs.model.search import Found, search
from specs.model.setup import Setup


@cache
def found(model: Rounds | Setup) -> Found:
    return search(model)


@pytest.mark.parametrize("case", [case for case in CASES if not case.long], ids=lambda case: case.name)
def test_every_reachable_state_is_as_the_case_says(case: Case) -> None:
    result = found(case.model)
    assert set(result.broken) == case.broken, result.broken
    assert result.states > 20


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: f"{type(removal.model).__name__}: {removal.rule}")
def test_a_property_holds_by_its_rule_and_breaks_without_it(removal: Removal) -> None:
    assert removal.broken not in found(removal.model).broken
    trace = search(removal.without, until=removal.broken).broken[removal.broken]
    assert trace, "the start itself is broken"


def test_every_rule_is_taken_away_once() -> None:
    assert sorted((type(one.rule).__module__, one.rule) for one in REMOVALS) == sorted(
        (module.__name__, rule) for module in (rounds, setup) for rule in module.Rule
    )


def test_every_property_breaks_somewhere() -> None:
    breaking = {(type(one.model), one.broken) for one in REMOVALS}
    assert breaking == {(kind, one) for kind, module in ((Rounds, rounds), (Setup, setup)) for one in module.Broken}


def test_a_trace_is_as_short_as_the_break_allows() -> None:
    """Without its counter a site masks two vectors after two requests of one query."""
    (removal,) = (one for one in REMOVALS if one.rule is rounds.Rule.COUNTERS)
    *steps, detail = search(removal.without, until=removal.broken).broken[removal.broken]
    assert len(steps) == 2
    assert "masks two vectors for one query" in detail


def test_one_colluder_too_many_is_the_only_difference_between_held_and_broken() -> None:
    """n = 4, t = 3 bears 2t - n - 1 = 1 colluder: the cases on both sides differ in their number alone."""
    broken = {c: next(bool(one.broken) for one in CASES if one.model == Rounds(colluders=c)) for c in range(3)}
    assert broken == {0: False, 1: False, 2: True}


@pytest.mark.parametrize("rule", ["site", "pooled"])
def test_one_answer_proves_no_small_group(rule: str) -> None:
    """Without rules, every question does; `specs/model/disclosure.md` has all plans."""
    for question in disclosure.QUESTIONS:
        assert disclosure.search((question,), "none").small > 0
        assert disclosure.search((question,), rule).small == 0
