"""Statistics of rows with imputed values: how, in which rows, and what the floor withholds."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.describe import describe
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import IMPUTED, MOMENTS
from participant.statistics.language.query import QueryError
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.imputed import Draw, Equation, completed
from participant.study.terms import ProjectTerms, TermsError

NAN = np.nan
X, Y, Z = (Numeric(column=name, low=-50, high=50) for name in "xyz")
INSIDE = MOMENTS.Params(
    variables=tuple(Variable(column=name, low=-50, high=50) for name in ("x", "y", "b")), row_limit=1000
)


def of(*factors) -> Design:
    return Design(terms=((), *((factor,) for factor in factors)))


def equation(column="y", family="gaussian", **changes) -> Equation:
    given = {"column": column, "low": -50.0, "high": 50.0, "family": family, "start": 0.0, "design": of(X, Z)}
    return Equation(**given | changes)


BINARY = equation("b", "binomial", low=0.0, high=1.0, start=1.0, design=of(X, Y))


def params(**changes):
    given = {
        "statistic": "moments",
        "version": 2,
        "params": INSIDE.model_dump(mode="json"),
        "row_limit": 1000,
        "columns": ("x", "y", "z", "b"),
        "equations": (equation(), BINARY),
        "draws": (),
        "seed": 3,
        "observed": None,
    }
    return IMPUTED.Params(**given | changes)


def table(rows=600, seed=1):
    rng = np.random.default_rng(seed)  # noqa: TID251 - test data
    x, z = rng.normal(0, 3, (2, rows))
    made = {"x": x, "z": z, "y": 1 + x - z + rng.normal(0, 1, rows), "b": (rng.random(rows) < expit(x)).astype(float)}
    made["y"][::3] = NAN
    made["b"][1::4] = NAN
    return made


def answer(asked, rows, **query):
    made = IMPUTED.query(asked, dataset="d", value_bits=50, **query)
    return bind(made).layout.unflatten(evaluate(bind(made), rows))


def test_without_draws_gaps_hold_the_start() -> None:
    rows = table()
    result = answer(params(equations=(equation(start=7.0), BINARY)), rows)
    assert (result["rows"], result["imputed"].tolist()) == (600, [200, 150])
    np.testing.assert_allclose(result["sums"][1], np.where(np.isnan(rows["y"]), 7.0, rows["y"]).sum())
    np.testing.assert_allclose(result["sums"][2], np.where(np.isnan(rows["b"]), 1.0, rows["b"]).sum())


def test_draws_go_round_the_equations_and_see_what_was_filled_before() -> None:
    """Without residuals a gaussian column is its linear predictor; a binomial one by probabilities of 0 and 1."""
    rows, surely = table(), 1e4
    draws = (
        Draw(coefficients=(2.0, 1.0, -1.0), deviation=0.0),
        Draw(coefficients=(0.0, 0.0, surely), deviation=0.0),
        Draw(coefficients=(5.0, 0.0, 0.5), deviation=0.0),
    )
    result = answer(params(draws=draws), rows)
    first = np.where(np.isnan(rows["y"]), 2 + rows["x"] - rows["z"], rows["y"])
    b = np.where(np.isnan(rows["b"]), first > 0, rows["b"])
    y = np.where(np.isnan(rows["y"]), 5 + rows["z"] / 2, rows["y"])
    np.testing.assert_allclose(result["sums"][1:], [y.sum(), b.sum()])
    np.testing.assert_allclose(result["squares"][1], (y * y).sum())


def test_residuals_are_normal_classes_have_their_probability_and_sites_draw_apart() -> None:
    draws = (Draw(coefficients=(4.0, 0.0, 0.0), deviation=2.0), Draw(coefficients=(-1.0, 0.0, 0.0), deviation=0.0))
    rows = {name: np.full(3000, value) for name, value in (("x", 1.0), ("z", 1.0), ("y", NAN), ("b", NAN))}
    given = params(draws=draws, row_limit=9000, params=INSIDE.model_dump(mode="json") | {"row_limit": 9000})
    result = answer(given, rows)
    np.testing.assert_array_equal(result["sums"], answer(given, rows)["sums"])
    mean = result["sums"] / 3000
    assert mean[1] == pytest.approx(4, abs=5 * 2 / np.sqrt(3000))
    assert result["squares"][1] / 3000 - mean[1] ** 2 == pytest.approx(4, rel=0.15)
    assert mean[2] == pytest.approx(expit(-1), abs=5 * 0.5 / np.sqrt(3000))
    others = [
        answer(given.model_copy(update={"seed": 4}), rows),
        answer(given, rows | {"z": rows["z"] + 1}),
    ]
    assert len({float(one["sums"][1]) for one in (result, *others)}) == 3


def test_values_stay_in_the_declared_range() -> None:
    draws = (Draw(coefficients=(1e4, 0.0, 0.0), deviation=0.0),)
    result = answer(params(draws=draws), table())
    there = table()["y"]
    np.testing.assert_allclose(result["sums"][1], np.where(np.isnan(there), 50.0, there).sum())


def test_only_rows_that_had_a_column() -> None:
    result = answer(params(observed="y"), table())
    np.testing.assert_allclose(result["sums"][1], np.nansum(table()["y"]))
    assert (result["rows"], result["imputed"].tolist()) == (400, [0, 100])


def test_a_row_is_filled_in_the_same_way_whichever_rows_count() -> None:
    draws = (Draw(coefficients=(4.0, 0.0, 1.0), deviation=2.0), Draw(coefficients=(-1.0, 1.0, 0.0), deviation=0.0))
    rows = table()
    rows = {name: np.append(column, column[:50]) for name, column in rows.items()}  # some alike
    everybody = completed(params(draws=draws), rows)
    there = ~np.isnan(rows["y"])
    some = completed(params(draws=draws, observed="y"), {name: column[there] for name, column in rows.items()})
    np.testing.assert_array_equal(some["b"], everybody["b"][there])
    filled = everybody["y"][~there]
    assert len(np.unique(filled)) == len(filled)


def test_rows_without_the_other_columns_are_out() -> None:
    rows = table()
    rows["x"][:30] = NAN
    result = answer(params(), rows)
    assert result["rows"] == 570


def test_a_column_that_few_rows_lack_is_not_filled() -> None:
    rows = table()
    rows["y"] = np.where(np.arange(600) < 4, NAN, 1.0)
    result = answer(params(), rows, minimum_persons=5)
    assert (result["rows"], result["answered"], result["imputed"].tolist()) == (596, 596, [0, 149])
    assert answer(params(), rows, minimum_persons=4)["imputed"][0] == 4
    # Leaving out rows leaves three that lack the other column, and these go too.
    rows["b"] = np.where((np.arange(600) < 3) | (np.arange(600) > 596), NAN, 1.0)
    result = answer(params(), rows, minimum_persons=5)
    assert (result["rows"], result["answered"], result["imputed"].tolist()) == (593, 593, [0, 0])


def test_rows_that_were_chosen_otherwise_and_have_few_gaps_are_withheld() -> None:
    """As when a site answers with the rows of an earlier answer."""
    rows = table()
    rows["y"] = np.where(np.arange(600) < 4, NAN, 1.0)
    query = IMPUTED.query(params(), dataset="d", value_bits=50, minimum_persons=5)
    given = bind(query).layout.unflatten(evaluate(bind(query), rows, np.ones(600, np.bool_)))
    assert (given["asked"], given["answered"], given["rows"], given["imputed"].any()) == (600, 0, 0, False)


def test_no_rows() -> None:
    empty = {name: column[:0] for name, column in table().items()}
    assert not any(block.any() for block in answer(params(draws=()), empty, minimum_persons=5).values())


def test_what_it_tells() -> None:
    query = IMPUTED.query(params(), dataset="d", value_bits=50, minimum_persons=5)
    assert "imputed of moments (version 2)" in str(describe(bind(query)))
    assert "about the rows that lack one of these columns" in bind(query).disclosure.tells
    assert "rows that lack one of y, b" in [group.people for group in bind(query).disclosure.groups]


def test_terms_must_name_what_is_inside_as_well() -> None:
    query = IMPUTED.query(params(), dataset="d", value_bits=50)
    terms = ProjectTerms(purpose="x", dataset="d", columns=("b", "x", "y", "z"), statistics=("imputed",))
    with pytest.raises(TermsError, match="do not include the statistic moments"):
        terms.check(query)
    terms.model_copy(update={"statistics": ("imputed", "moments")}).check(query)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"observed": "x"}, "one of those with an equation"),
        ({"equations": (equation(), equation())}, "two equations"),
        ({"columns": ("x", "y", "b")}, "not listed: z"),
        ({"draws": (Draw(coefficients=(1.0,), deviation=0.0),)}, "one coefficient for each of the 3 covariates"),
        ({"row_limit": 999}, "row limit must equal that of the inner statistic"),
    ],
)
def test_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        params(**changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"column": "x"}, "the column itself"),
        ({"start": 99.0}, "inside its range"),
        ({"family": "binomial"}, "range 0 to 1"),
    ],
)
def test_an_equation_that_makes_no_sense(changes: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        equation(**changes)


@pytest.mark.parametrize(
    ("statistic", "complaint"),
    [
        ("counts", "cannot be used inside"),
        ("imputed", "cannot be used inside"),
        ("gram", "of gram are invalid"),
    ],
)
def test_the_statistic_inside_must_be_known_and_its_parameters_right(statistic: str, complaint: str) -> None:
    query = IMPUTED.query(params(statistic=statistic), dataset="d", value_bits=50)
    with pytest.raises(QueryError, match=complaint):
        bind(query)
