"""Each statistic, compared with numbers worked out by hand and with sums written out row by row."""

import numpy as np
import pytest

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import MissingColumnsError, RowLimitError, check_dataset, evaluate
from participant.statistics.evaluation.registry import COUNTS, COX_RISK_SETS, EVENT_COUNTS, MOMENTS, statistic_of
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.disclosure import Reveals
from participant.statistics.language.query import QueryError
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.outcome import Grid, Outcome
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.counts import CountsParams
from participant.statistics.vocabulary.cox_risk_sets import CoxRiskSetsParams
from participant.statistics.vocabulary.event_counts import EventCountsParams
from participant.statistics.vocabulary.moments import MomentsParams
from secagg.errors import ParameterError
from tests.support.trials import lung, rows

NAN = np.nan
TABLE = {
    "time": np.array([0.0, 7.0, 7.1, 14.0, 15.0, 99.0, 30.0]),
    "status": np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0, NAN]),
    "age": np.array([50.0, 60.0, 70.0, 150.0, NAN, 40.0, 60.0]),
}
AGE = Variable(column="age", low=0, high=100)
OUTCOME = Outcome(time="time", event="status", grid=Grid(width=7, count=3))
COUNT_ALL = CountsParams(columns=("age", "status"), row_limit=10)
CURVE = EventCountsParams(outcome=OUTCOME, by=(), row_limit=10)


def answer(statistic, params, table=TABLE, **query):
    asked = statistic.query(params, dataset="lung", value_bits=50, **query)
    return bind(asked).layout.unflatten(evaluate(bind(asked), table))


def test_counts() -> None:
    result = answer(COUNTS, COUNT_ALL)
    assert (result["rows"], result["complete"], result["present"].tolist()) == (7, 5, [6, 6])


def test_moments_move_values_to_the_range_and_count_them() -> None:
    result = answer(MOMENTS, MomentsParams(variables=(AGE,), row_limit=10))
    assert (result["rows"], result["outside"].tolist()) == (6, [1])
    np.testing.assert_allclose(result["sums"], [0 + 10 + 20 + 50 - 10 + 10])
    np.testing.assert_allclose(result["squares"], [100 + 400 + 2500 + 100 + 100])


def test_event_counts() -> None:
    result = answer(EVENT_COUNTS, CURVE)
    # Time 0 stays at 0, 7 falls on grid time 1, 7.1 and 14 on 2, 15 on 3, 99 is censored at 3; one row has no status.
    assert result["events"].tolist() == [1, 1, 1, 1]
    assert result["at_risk"].tolist() == [6, 5, 4, 2]
    assert result["outside"].tolist() == [0, 0]


def test_odd_outcomes_are_counted_and_refuse_nothing() -> None:
    table = {"time": np.array([-1.0, 3.0, 3.0]), "status": np.array([1.0, 2.0, 1.0])}
    result = answer(EVENT_COUNTS, CURVE, table)
    assert result["outside"].tolist() == [1, 1]
    assert (result["events"].tolist(), result["at_risk"].tolist()) == ([1, 1, 0, 0], [3, 2, 0, 0])


@pytest.mark.parametrize(("width", "time", "expected"), [(0.1, 1.1, 11), (0.1, 0.7, 7), (0.2, 0.6, 3), (7, 7.001, 2)])
def test_grid_times_in_binary_fractions(width: float, time: float, expected: int) -> None:
    assert Grid(width=width, count=100).index(np.array([time])).tolist() == [expected]


def test_absurd_times_lie_beyond_the_grid() -> None:
    assert Grid(width=1e-300, count=5).index(np.array([1e300])).tolist() == [6]


def test_cox_risk_sets_row_by_row() -> None:
    table = lung()
    age = Numeric(column="age", low=45, high=100, centre=60, scale=9)
    sex = Numeric(column="sex", low=1, high=2, centre=1.4, scale=0.5)
    params = CoxRiskSetsParams(
        outcome=Outcome(time="time", event="status", grid=Grid(width=91, count=8)),
        design=Design(terms=((age,), (sex,))),
        strata=(),
        beta=(0.2, -0.3),
        log_weight_limit=0.5,
        at=(1, 2, 4, 8),
        tied=(2, 8),
        trend=(1.0, -2.0, 3.0, 0.5),
        event_ends=(),
        censored_ends=(),
        row_limit=1000,
    )
    result = answer(COX_RISK_SETS, params, table)
    expected = {name: np.zeros_like(array) for name, array in result.items()}
    for time, event, years, man in zip(table["time"], table["status"], table["age"], table["sex"], strict=True):
        expected["rows"] += 1
        expected["outside"][0] += years < 45
        z = np.array([(max(years, 45) - 60) / 9, (man - 1.4) / 0.5])
        w = np.exp(min(0.2 * z[0] - 0.3 * z[1], 0.5))
        expected["heavier"] += 0.2 * z[0] - 0.3 * z[1] > 0.5
        k = int(np.ceil(time / 91))
        squares = np.array([z[0] ** 2, z[0] * z[1], z[1] ** 2])
        for slot, at in enumerate(params.at):
            if k >= at:
                expected["risk0"][slot] += w
                expected["risk1"][:, slot] += w * z
                expected["risk2"][:, slot] += w * squares
            if k == at and event:
                expected["events"][slot] += 1
                expected["event_sum"] += z
                expected["event_trend"] += params.trend[slot] * z
        for slot, at in enumerate(params.tied):
            if k == at and event:
                expected["tied0"][slot] += w
                expected["tied1"][:, slot] += w * z
                expected["tied2"][:, slot] += w * squares
    assert 0 < expected["heavier"] < expected["rows"]
    assert expected["outside"][0] > 0
    assert (expected["events"] > 0).sum() > 2
    for name, array in result.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(("op", "count"), [("==", 2), ("!=", 4), ("<", 2), ("<=", 4), (">", 2), (">=", 4)])
def test_filter(op: str, count: int) -> None:
    """A missing value meets no comparison."""
    result = answer(COUNTS, COUNT_ALL, filter=(Comparison(column="age", op=op, value=60),))
    assert result["rows"] == count


def test_comparisons_are_joined_by_and() -> None:
    both = (Comparison(column="age", op=">", value=45), Comparison(column="time", op="<", value=10))
    assert answer(COUNTS, COUNT_ALL, filter=both)["rows"] == 3


def test_further_columns_can_be_asked_to_be_complete() -> None:
    assert answer(EVENT_COUNTS, CURVE, complete=("age",))["at_risk"][0] == 5


def test_no_rows_give_zeros() -> None:
    """Pitfall 31."""
    empty = {name: column[:0] for name, column in TABLE.items()}
    for statistic, params in ((COUNTS, COUNT_ALL), (EVENT_COUNTS, CURVE)):
        assert not any(array.any() for array in answer(statistic, params, empty).values())


def test_missing_columns_are_listed() -> None:
    asked = EVENT_COUNTS.query(
        CURVE, dataset="lung", value_bits=50, filter=(Comparison(column="stage", op="==", value=1),)
    )
    with pytest.raises(
        MissingColumnsError, match="dataset lung has no numbers in these columns, or lacks them: stage, status"
    ) as caught:
        evaluate(bind(asked), {"time": TABLE["time"]})
    assert caught.value.columns == ("stage", "status")


def test_the_row_limit_counts_all_rows() -> None:
    """Before any filter: a refusal that depended on the filter would answer a question about the rows."""
    params = CURVE.model_copy(update={"row_limit": 6})
    none = (Comparison(column="age", op=">", value=1000),)
    asked = EVENT_COUNTS.query(params, dataset="lung", value_bits=50, filter=none)
    with pytest.raises(RowLimitError, match="more rows than the query's limit of 6"):
        evaluate(bind(asked), TABLE)
    with pytest.raises(RowLimitError):
        check_dataset(bind(asked), TABLE.keys(), 7)
    check_dataset(bind(asked), TABLE.keys(), 6)


@pytest.mark.parametrize(
    "change",
    [
        {"time": TABLE["time"][:3]},
        {"time": np.where(TABLE["time"] > 50, np.inf, TABLE["time"])},
        {"time": TABLE["time"].astype(np.float32)},
        {"time": TABLE["time"].reshape(1, -1)},
    ],
)
def test_a_broken_table_is_refused(change: dict) -> None:
    asked = EVENT_COUNTS.query(CURVE, dataset="lung", value_bits=50)
    with pytest.raises(ParameterError, match="columns of a table"):
        evaluate(bind(asked), TABLE | change)


def test_unknown_statistic() -> None:
    asked = EVENT_COUNTS.query(CURVE, dataset="lung", value_bits=50).model_copy(update={"statistic": "median"})
    with pytest.raises(QueryError, match="there is no statistic median; the statistics are counts"):
        statistic_of(asked)


def test_bounds_beyond_a_double_are_refused() -> None:
    wide = MomentsParams(variables=(Variable(column="age", low=0, high=1e300),), row_limit=10)
    with pytest.raises(ParameterError, match="bound"):
        bind(MOMENTS.query(wide, dataset="lung", value_bits=50))
    params = CoxRiskSetsParams(
        outcome=OUTCOME,
        design=Design(terms=((Numeric(**AGE.model_dump(), centre=0.0, scale=1e-300),),)),
        strata=(),
        beta=(0.0,),
        log_weight_limit=1.0,
        at=(1,),
        tied=(),
        trend=(),
        event_ends=(),
        censored_ends=(),
        row_limit=10,
    )
    with pytest.raises(ParameterError, match="bound"):
        bind(COX_RISK_SETS.query(params, dataset="lung", value_bits=50))


def test_disclosures_say_what_shows() -> None:
    counts = bind(COUNTS.query(COUNT_ALL, dataset="lung", value_bits=50)).disclosure
    curve = bind(EVENT_COUNTS.query(CURVE, dataset="lung", value_bits=50)).disclosure
    cox = bind(
        COX_RISK_SETS.query(
            CoxRiskSetsParams(
                outcome=OUTCOME,
                design=Design(terms=((Numeric(**AGE.model_dump(), centre=0.0, scale=1.0),),)),
                strata=(),
                beta=(0.0,),
                log_weight_limit=0.0,
                at=(1,),
                tied=(),
                trend=(),
                event_ends=(),
                censored_ends=(),
                row_limit=rows(TABLE),
            ),
            dataset="lung",
            value_bits=50,
        )
    ).disclosure
    means = MOMENTS.query(MomentsParams(variables=(AGE,), row_limit=10), dataset="lung", value_bits=50)
    narrow = means.model_copy(update={"filter": (Comparison(column="age", op="==", value=50),)})
    assert not bind(means).disclosure.singles_out
    assert bind(narrow).disclosure.singles_out
    assert not counts.singles_out
    assert not curve.singles_out
    assert cox.singles_out
    assert "that patient's values" in cox.tells
    assert {group.resolution for group in cox.groups if group.reveals is Reveals.VALUES} == {None, 7.0}
    assert min(disclosure.minimum_rows for disclosure in (counts, curve, cox)) >= 5


def test_a_single_event_shows_as_the_disclosure_says() -> None:
    """Pitfall 11: z = tied1 / tied0 where one event falls into an interval across all sites."""
    params = CoxRiskSetsParams(
        outcome=OUTCOME,
        design=Design(terms=((Numeric(**AGE.model_dump(), centre=0.0, scale=1.0),),)),
        strata=(),
        beta=(0.01,),
        log_weight_limit=2.0,
        at=(1, 2, 3),
        tied=(3,),
        trend=(),
        event_ends=(),
        censored_ends=(),
        row_limit=10,
    )
    table = TABLE | {"age": np.array([50.0, 60.0, 70.0, 80.0, 64.0, 40.0, 60.0])}
    result = answer(COX_RISK_SETS, params, table)
    assert result["events"][2] == 1
    np.testing.assert_allclose(result["tied1"] / result["tied0"], [[64.0]])
    left = {name: result[name][..., 1] - result[name][..., 2] for name in ("risk0", "risk1")}
    assert left["risk0"] > 0  # two rows left here: their weighted mean shows
    np.testing.assert_allclose(left["risk1"] / left["risk0"], np.average([70, 80], weights=np.exp([0.7, 0.8])))
