"""All benchmarks print rows of the same shape; no test asserts any speed."""

import json

import pytest
from typer.testing import CliRunner

from bench import __main__ as command
from bench import analyses, kernels, memory, server
from bench import round as whole_round
from bench.growth import exponent
from bench.measure import Row, against, in_turn, in_words
from bench.workers import ours

FACTS = {"name": str, "target": str, "measured": str, "met": (bool, type(None))}


def assert_contract(facts):
    assert facts.keys() == FACTS.keys()
    assert all(isinstance(facts[key], kind) for key, kind in FACTS.items())
    assert facts["name"]
    assert facts["measured"]


@pytest.mark.parametrize(
    "row",
    [
        lambda: whole_round._case(3, 10, 0),
        lambda: kernels._packing(1000),
        lambda: next(memory.measured(n=4, d=100)),
        lambda: analyses.logistic(patients=100),
        lambda: against("work", "a peer", 0.5, 2.0, least=3),
        lambda: against("work", "a peer", 0.5, 2.0),
    ],
    ids=["round", "kernels", "memory", "analyses", "against a target", "against none"],
)
def test_rows_have_the_contract_s_shape(row):
    assert_contract(row().as_facts())


def test_a_command_prints_one_object_and_keeps_nothing_unless_asked(monkeypatch):
    row = Row("work", ">= 1", "2", met=True, figures={"ratio": 2.0})
    monkeypatch.setattr(whole_round, "rows", lambda: [row])
    monkeypatch.setattr(command.history, "keep", lambda *_: pytest.fail("kept without being asked"))
    result = CliRunner().invoke(_application(), ["round", "--json"])
    printed = json.loads(result.stdout)
    assert printed.keys() == {"machine", "rows"}
    assert printed["machine"]["processor"]
    assert [assert_contract(facts) for facts in printed["rows"]] == [None]


def _application():
    import typer

    application = typer.Typer()
    application.command()(command.main)
    return application


def test_ratios_say_whether_the_target_was_reached():
    assert against("work", "a peer", 0.5, 2.0, least=4).met is True
    assert against("work", "a peer", 0.5, 2.0, least=4.1).met is False
    assert against("work", "a peer", 0.5, 2.0).met is None
    assert against("work", "a peer", 0.5, 2.0).measured == "4.0 x (ours 500 ms, a peer 2 s)"


def test_medians_are_taken_in_turn_and_without_the_warm_ones():
    seen, values = [], {"a": iter([9.0, 1.0, 3.0, 2.0]), "b": iter([9.0, 5.0, 5.0, 5.0])}
    measures = {name: lambda name=name: (seen.append(name), next(values[name]))[1] for name in values}
    assert in_turn(measures, repetitions=3) == {"a": 2.0, "b": 5.0}
    assert seen == ["a", "b"] * 4


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.34, "12.3 s"), (0.0205, "20.5 ms"), (3.1e-5, "31 us"), (413.767, "414 s")]
)
def test_times_are_said_in_the_unit_that_reads_best(seconds, words):
    assert in_words(seconds) == words


def test_an_exponent_is_that_of_the_power_law():
    assert exponent([1, 10, 100], [3.0, 300.0, 30000.0]) == pytest.approx(2)


def test_the_server_s_case_counts_every_mask_that_is_left():
    assert len(list(ours.left(7, 2))) == 5 * (1 + 2)
    assert server.MASKS == 350 * 151
