import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from participant.statistics.evaluation.registry import COUNTS, COX_RISK_SETS, EVENT_COUNTS
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.query import MAX_QUERY_BYTES, Query, QueryError, canonical
from participant.statistics.models.design import Category, Design, Numeric
from participant.statistics.models.outcome import Grid, Outcome
from participant.statistics.models.variables import Variable as Var
from participant.statistics.vocabulary.counts import CountsParams
from participant.statistics.vocabulary.cox_risk_sets import CoxRiskSetsParams
from participant.statistics.vocabulary.event_counts import EventCountsParams
from secagg.errors import ParameterError

QUERY = Query(
    statistic="counts",
    version=1,
    dataset="lung",
    columns=("sex", "age"),
    filter=(Comparison(column="age", op=">=", value=50), Comparison(column="age", op="<", value=70.5)),
    missing="keep",
    minimum_persons=5,
    value_bits=40,
    params={"row_limit": 1000, "columns": ["age", "sex"]},
)
BYTES = (
    b'{"columns":["age","sex"],"dataset":"lung","filter":[{"column":"age","op":"<","value":70.5},'
    b'{"column":"age","op":">=","value":50}],"minimum_persons":5,"missing":"keep","params":{"columns":["age","sex"],"row_limit":1000},'
    b'"ranges":null,"statistic":"counts","value_bits":40,"version":1}'
)

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,15}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)
queries = st.builds(
    Query,
    statistic=names,
    version=st.integers(1, 9),
    dataset=names,
    columns=st.lists(names, min_size=1, max_size=4).map(tuple),
    filter=st.lists(
        st.builds(
            Comparison,
            column=names,
            op=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
            value=st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=3,
    ).map(tuple),
    missing=st.sampled_from(["complete-cases", "keep"]),
    value_bits=st.integers(8, 60),
    params=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), values, max_size=3),
)


def test_known_bytes() -> None:
    assert QUERY.encode() == BYTES
    assert Query.decode(BYTES) == QUERY


def test_one_meaning_has_one_encoding() -> None:
    again = QUERY.model_copy(update={"columns": ("age", "sex")})
    turned = Query(**QUERY.model_dump() | {"filter": QUERY.filter[::-1], "columns": ("sex", "age", "sex")})
    assert again.encode() == turned.encode() == BYTES


@given(queries)
def test_round_trip(query: Query) -> None:
    data = query.encode()
    decoded = Query.decode(data)
    assert decoded.encode() == data
    assert (decoded.columns, decoded.filter, decoded.dataset) == (query.columns, query.filter, query.dataset)


@given(queries, st.data())
def test_a_changed_byte_is_refused_or_means_something_else(query: Query, data) -> None:
    encoded = bytearray(query.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = Query.decode(bytes(encoded))
    except QueryError:
        return
    assert other.encode() == bytes(encoded) != query.encode()


@given(st.binary(max_size=300))
def test_any_bytes_give_a_query_or_an_error(data: bytes) -> None:
    with pytest.raises(QueryError):
        Query.decode(data)


def document(**changes) -> bytes:
    return json.dumps(json.loads(BYTES) | changes, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "EOF"),
        (BYTES[:-1], "EOF"),
        (BYTES + b" ", "canonical"),
        (BYTES.replace(b":1000", b":1000.0"), "canonical"),
        (BYTES.replace(b":1000", b":1e3"), "canonical"),
        (BYTES.replace(b"70.5", b"70.50"), "canonical"),
        (BYTES.replace(b'"lung"', b'"\\u006cung"'), "canonical"),
        (BYTES.replace(b'["age","sex"],"dataset"', b'["sex","age"],"dataset"'), "canonical"),
        (BYTES.replace(b'"version":1', b'"version":1,"version":1'), "canonical"),
        (b"\xef\xbb\xbf" + BYTES, "expected value"),
        (document(extra=1), "extra is unknown"),
        (document(value_bits=7), "value_bits"),
        (document(value_bits=61), "value_bits"),
        (document(value_bits="40"), "must be a whole number"),
        (document(version=True), "must be a whole number"),
        (document(version=0), "version"),
        (document(columns=[]), "columns"),
        (document(columns=["../x"]), "pattern"),
        (document(columns=["a\n"]), "pattern"),
        (document(dataset="1lung"), "pattern"),
        (document(missing="drop"), "missing"),
        (document(filter=[{"column": "age", "op": "in", "value": 1}]), "filter.0.comparison.op"),
        (document(filter=[{"column": "age", "op": "<", "value": float("nan")}]), "finite"),
        (document(filter=[{"column": "age", "op": "<", "value": float("inf")}]), "finite"),
        (document(filter=[{"column": "age", "op": "<", "value": 1}] * 40), "at most 32"),
        (document(params={"x": float("nan")}), "no canonical form"),
        (document(params={"x": float("inf")}), "no canonical form"),
        (document(params={"x": 10**400}), "no canonical form|range of a double|out of range"),
        (document(params=json.loads('{"a":' * 13 + "1" + "}" * 13)), "levels deep"),
        (BYTES.replace(b"1000", b"[" * 5000 + b"]" * 5000), "recursion"),
        (document(params={"x": "a" * MAX_QUERY_BYTES}), "at most"),
        (BYTES.replace(b"lung", b"l\xff"), "this is not a query"),
        (BYTES.replace(b'"row_limit"', b'"\\ud800"'), "this is not a query"),
    ],
)
def test_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint) as caught:
        Query.decode(data)
    assert isinstance(caught.value, ParameterError)
    assert len(str(caught.value)) < 1000


def test_a_forged_member_cannot_forge_a_log_line() -> None:
    with pytest.raises(QueryError) as caught:
        Query.decode(document(**{"x\n2024 all is well": 1}))
    assert "\n" not in str(caught.value)


def test_whole_numbers_are_doubles() -> None:
    assert canonical(2**53 + 1) == canonical(2.0**53) == b"9007199254740992"
    with pytest.raises(QueryError, match="double"):
        canonical(10**400)


GRID = Grid(width=7, count=3)
OUTCOME = Outcome(time="time", event="status", grid=GRID)
COX = CoxRiskSetsParams(
    outcome=OUTCOME,
    design=Design(terms=((Numeric(column="age", low=0, high=100, centre=50, scale=10),),)),
    strata=(),
    beta=(0.5,),
    log_weight_limit=5.0,
    at=(1, 3),
    tied=(3,),
    trend=(),
    event_ends=(),
    censored_ends=(),
    row_limit=100,
)


def test_params_go_through_the_query() -> None:
    query = COX_RISK_SETS.query(COX, dataset="lung", value_bits=50, complete=("sex",))
    assert query.columns == ("age", "sex", "status", "time")
    assert COX_RISK_SETS.read(Query.decode(query.encode())) == COX


def query_with(params: dict, **changes) -> Query:
    base = EVENT_COUNTS.query(EventCountsParams(outcome=OUTCOME, by=(), row_limit=5), dataset="lung", value_bits=50)
    return base.model_copy(update={"params": base.params | params, **changes})


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        (query_with({"row_limit": 0}), "row_limit"),
        (query_with({"more": 1}), "more"),
        (query_with({"outcome": {"time": "time", "event": "status", "grid": {"width": 0, "count": 3}}}), "width"),
        (query_with({"outcome": {"time": "time", "event": "status", "grid": {"width": 7, "count": 10**6}}}), "count"),
        (query_with({}, version=4), "version 3; the query asks for 4"),
        (query_with({}, columns=("time",)), "does not declare all columns that event-counts reads: status"),
        (query_with({}, missing="keep"), "does not accept missing"),
    ],
)
def test_params_are_refused(query: Query, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        EVENT_COUNTS.read(query)


def test_counts_need_missing_values() -> None:
    query = COUNTS.query(CountsParams(columns=("a",), row_limit=5), dataset="d", value_bits=8)
    with pytest.raises(QueryError, match="counts missing values"):
        COUNTS.read(query.model_copy(update={"missing": "complete-cases"}))


def test_a_query_that_cannot_be_made() -> None:
    with pytest.raises(QueryError, match="this query is not valid: dataset"):
        COUNTS.query(CountsParams(columns=("a",), row_limit=5), dataset="a/b", value_bits=8)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"at": (3, 1)}, "ascend"),
        ({"at": (-1, 1)}, "not on the grid"),
        ({"at": (1, 4), "tied": ()}, "not on the grid"),
        ({"tied": (2,)}, "also be in `at`"),
        ({"beta": ()}, "one coefficient for each of the 1 covariates"),
        ({"log_weight_limit": 100.5}, "log_weight_limit"),
        ({"beta": (-1e308,)}, "could exceed"),
        ({"design": Design(terms=((Numeric(column="age", low=0, high=1, scale=1e-300),),))}, "could exceed"),
        ({"design": Design(terms=((), *COX.design.terms)), "beta": (0.0, 0.5)}, "no intercept"),
        ({"trend": (1.0,)}, "one weight for each time"),
        ({"strata": (Category(column="sex", levels=(1, 2)),), "at": (3, 4), "tied": ()}, "not on the grid"),
        ({"strata": (Category(column="sex", levels=(1, 2)),), "at": (3, 15), "tied": ()}, "not on the grid"),
    ],
)
def test_cox_params_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        CoxRiskSetsParams(**{name: getattr(COX, name) for name in CoxRiskSetsParams.model_fields} | changes)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (-1e308, 1e308)])
def test_a_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low < high"):
        Var(column="age", low=low, high=high)
