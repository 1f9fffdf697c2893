"""Formulas: the same design as formulaic's, and a clear message for anything beyond the supported subset."""

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix

from participant.statistics.language.definitions import CategoryLabel as Level
from participant.statistics.language.definitions import Definition
from participant.statistics.models.design import Category, Numeric
from participant.statistics.models.formula import FormulaError, declared, parse_formula
from participant.statistics.models.variables import Variable

DECLARED = {
    "age": Variable(column="age", low=18, high=100),
    "x": Variable(column="x", low=0.5, high=9),
    "sex": Category(column="sex", levels=(1, 2)),
    "ph.ecog": Category(column="ph.ecog", levels=(0, 1, 2)),
    "y": Variable(column="y", low=0, high=1),
}


def table() -> dict:
    rng = np.random.default_rng(3)  # noqa: TID251 - test data
    rows = 80
    return {
        "age": rng.uniform(20, 90, rows),
        "x": rng.uniform(0.6, 8, rows),
        "sex": rng.choice([1.0, 2.0], rows),
        "ph.ecog": rng.choice([0.0, 1.0, 2.0], rows),
    }


@pytest.mark.parametrize(
    "formula",
    [
        "age + C(sex)",
        "sex * ph.ecog",
        "sex + ph.ecog - 1",
        "0 + sex:age + ph.ecog",
        "age * ph.ecog + log(x)",
        "age:sex",
        "age:sex + sex",
        "C(ph.ecog, ref=2) + I(age ** 2) + sqrt(x)",
        "(age + x + sex) ** 2 - age:x",
        "sex / age",
        "scale(age, 50, 10) + center(log(x), 1) + I(age >= 50)",
        "1",
    ],
)
def test_the_design_spans_what_formulaic_s_spans(formula: str) -> None:
    columns = table()
    design = parse_formula(f"y ~ {formula}", DECLARED).design
    plain = formula.replace("scale(age, 50, 10)", "{(age - 50) / 10}").replace("center(log(x), 1)", "{log(x) - 1}")
    plain = plain.replace("C(ph.ecog, ref=2)", "C(ecog)").replace("ph.ecog", "ecog").replace("sqrt(x)", "{x ** 0.5}")
    plain = plain.replace("I(age >= 50)", "{(age >= 50) * 1.0}").replace("C(sex)", "sex")
    frame = pd.DataFrame(columns).rename(columns={"ph.ecog": "ecog"}).astype({"sex": "category", "ecog": "category"})
    oracle = np.asarray(model_matrix(plain, frame), np.float64)
    ours = design.coded(columns).z.T
    assert ours.shape == oracle.shape
    rank = np.linalg.matrix_rank(oracle)
    assert np.linalg.matrix_rank(ours) == rank == np.linalg.matrix_rank(np.column_stack([ours, oracle]))
    low, high = design.box
    assert ((ours >= low) & (ours <= high)).all()


def test_published_definitions_are_what_a_formula_names() -> None:
    definitions = (
        Definition(code="age", label="age at entry", type="integer", unit="a", low=18, high=100),
        Definition(code="dead", label="died", type="boolean"),
        Definition(code="notes", label="length of the notes", type="integer"),
        Definition(
            code="stage",
            label="stage",
            type="category",
            categories=tuple(Level(number=i, label="s") for i in (1, 2, 3)),
        ),
    )
    model = parse_formula("dead ~ age + C(stage, ref=2)", declared(definitions))
    assert model.design.names == ("1", "age", "stage[1]", "stage[3]")
    assert model.outcome.levels == (0, 1)
    with pytest.raises(FormulaError, match="the variable notes is not declared"):
        parse_formula("~ notes", declared(definitions))


def test_names_levels_and_outcome() -> None:
    model = parse_formula("y ~ C(ph.ecog, ref=1) * age", DECLARED)
    names = ("1", "ph.ecog[0]", "ph.ecog[2]", "age", "ph.ecog[0]:age", "ph.ecog[2]:age")
    assert set(model.design.names) == set(names)
    assert model.outcome == Numeric(column="y", low=0, high=1)
    assert parse_formula("~ age", DECLARED).outcome is None


@pytest.mark.parametrize(
    ("formula", "complaint"),
    [
        ("y ~ ward", "the variable ward is not declared; declared are age"),
        ("y ~ log(age + 1)", "is not supported"),
        ("y ~ cr(age, 2)", "is not supported"),
        ("y ~ __import__('os')", "is not supported"),
        ("y ~ I(__import__('os').system('x') > 3)", "is not supported"),
        ("y ~ C(age)", "C\\(\\) needs a category"),
        ("y ~ log(sex)", "declared as a category"),
        ("y ~ C(sex, ref=3)", "not one of its levels"),
        ("y ~ center(age)", "need explicit numbers"),
        ("y ~ scale(age, x, 1)", "need numbers"),
        ("y ~ scale(age, 1, 0)", "scale must be above 0"),
        ("y ~ I(age ** 1)", "identity"),
        ("y ~ log(y)", "needs a declared range above 0"),
        ("y ~ sex:ph.ecog", "write sex\\*ph.ecog"),
        ("y + x ~ age", "one outcome"),
        ("y ~ age | sex", "one right side"),
        ("y ~ 0", "at least one term"),
        ("y ~ 2:age", "not a variable"),
        ("y ~ (age", "not a formula: a bracket has no partner, at '\\('"),
        ("y ~ C(sex", "not a formula: a closing bracket is missing, at 'C\\(sex'"),
        ("y ~ age ~ x", "not a formula: there may be one ~"),
        ("y ~ age +", "not a formula: an operator lacks a term, at '\\+'"),
        ("y ~ age sex", "not a formula: an operator is missing between two terms, at 'age sex'"),
        ("y ~ .", "not a formula: a dot cannot stand for all other variables"),
        ("y ~ age %in% sex", "%in% is not supported; write x:g"),
        ("y ~ `\x1b[31m`", "the variable .x1b.31m is not declared"),
        ("y ~ " + "age + " * 500 + "x", "at most"),
    ],
)
def test_refused(formula: str, complaint: str) -> None:
    with pytest.raises(FormulaError, match=complaint) as caught:
        parse_formula(formula, DECLARED)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    assert "formulaic" not in str(caught.value)
