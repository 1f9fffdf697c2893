"""Bases of smooth curves: R's splines, orthogonal polynomials, and their bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from participant.statistics.models.basis import Basis, NaturalSplines, Polynomials, Splines
from participant.statistics.models.design import Category, Design
from participant.statistics.models.formula import FormulaError, parse_formula
from participant.statistics.models.variables import Variable

AGES = np.array([20, 25, 33.5, 50, 61, 77, 88, 100])
KNOTS = (40.0, 55.0, 70.0)
# R 4.2.2: bs(x, knots = c(40, 55, 70), Boundary.knots = c(18, 100)), and ns of the same, at 20, 50 and 100.
BS = {
    20: [0.234655533963106, 0.0138406649463161, 0.000189000189000189, 0, 0, 0],
    50: [0.00608716824933041, 0.320778158615996, 0.636097636097636, 0.037037037037037, 0, 0],
    100: [0, 0, 0, 0, 0, 1],
}
NS = {
    20: [0.000189000189000189, -0.0308068063612692, 0.0770170159031731, -0.0462102095419039],
    50: [0.636097636097636, -0.0650670513374834, 0.255260220936301, -0.153156132561781],
    100: [0, -0.157894736842105, 0.394736842105263, 0.763157894736842],
}
DECLARED = {
    "age": Variable(column="age", low=18, high=100),
    "sex": Category(column="sex", levels=(1, 2)),
    "y": Variable(column="y", low=0, high=1),
}


def values(basis: Basis, x: object) -> np.ndarray:
    return basis.coded({"age": np.asarray(x, np.float64)}).z.T


def of(function: Splines | NaturalSplines | Polynomials) -> Basis:
    return Basis(column="age", low=18, high=100, function=function)


@pytest.mark.parametrize(("function", "table"), [(Splines(knots=KNOTS), BS), (NaturalSplines(knots=KNOTS), NS)])
def test_the_splines_are_those_of_r(function: Splines | NaturalSplines, table: dict) -> None:
    np.testing.assert_allclose(values(of(function), list(table)), list(table.values()), atol=1e-13)


def test_polynomials_are_orthogonal_over_the_range() -> None:
    basis = of(Polynomials(degree=4))
    products = [
        [quad(lambda x, i=i, j=j: np.prod(values(basis, [x])[0, [i, j]]), 18, 100)[0] for i in range(4)]
        for j in range(4)
    ]
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-9)
    np.testing.assert_allclose(values(basis, [100])[0], 1)


FUNCTIONS = st.one_of(
    st.builds(Polynomials, degree=st.integers(1, 10)),
    st.builds(NaturalSplines, knots=st.lists(st.floats(19, 99), max_size=5, unique=True).map(sorted).map(tuple)),
    st.builds(
        Splines,
        knots=st.lists(st.floats(19, 99), max_size=5, unique=True).map(sorted).map(tuple),
        degree=st.integers(1, 5),
    ),
)


@given(FUNCTIONS, st.lists(st.floats(0, 200), min_size=1, max_size=20))
def test_values_stay_in_their_box_and_those_outside_the_range_are_counted(function: object, x: list[float]) -> None:
    basis = of(function)
    low, high = basis.box
    z = values(basis, x)
    assert z.shape == (len(x), len(basis.names))
    assert ((z >= low) & (z <= high)).all()
    outside = basis.coded({"age": np.array(x)}).outside["age"]
    assert outside.tolist() == [not 18 <= one <= 100 for one in x]


def test_no_rows() -> None:
    assert values(of(NaturalSplines(knots=KNOTS)), []).shape == (0, 4)


@pytest.mark.parametrize(
    ("formula", "function"),
    [
        ("y ~ ns(age, knots=[40, 55.5])", NaturalSplines(knots=(40, 55.5))),
        ("y ~ ns(age, knots=c(40, 55.5))", NaturalSplines(knots=(40, 55.5))),
        ("y ~ bs(age, knots=[40])", Splines(knots=(40,))),
        ("y ~ bs(age, knots=[], degree=2)", Splines(knots=(), degree=2)),
        ("y ~ poly(age, 3)", Polynomials(degree=3)),
        ("y ~ poly(age, degree=3)", Polynomials(degree=3)),
    ],
)
def test_formulas_with_a_basis(formula: str, function: object) -> None:
    design = parse_formula(formula, DECLARED).design
    assert design == Design(terms=((), (of(function),)))
    product = parse_formula(formula.replace("~", "~ sex *"), DECLARED).design
    size = len(of(function).names)
    assert len(product.names) == 2 + 2 * size
    assert product.names[-1] == f"sex[2]:{of(function).names[-1]}"


@pytest.mark.parametrize(
    ("formula", "complaint"),
    [
        ("y ~ ns(age)", "write ns\\(v, knots=\\[50, 65\\]\\)"),
        ("y ~ ns(age, 3)", "write ns"),
        ("y ~ ns(age, knots=x)", "write ns"),
        ("y ~ ns(age, df=3)", "write ns"),
        ("y ~ poly(age, 2, 3)", "write ns"),
        ("y ~ poly(age, 0)", "degree"),
        ("y ~ poly(age, 2.5)", "degree"),
        ("y ~ ns(age, knots=[40, 30])", "knots must ascend"),
        ("y ~ ns(age, knots=[18])", "inside its declared range"),
        ("y ~ ns(sex, knots=[1])", "declared as a category"),
    ],
)
def test_refused(formula: str, complaint: str) -> None:
    with pytest.raises(FormulaError, match=complaint):
        parse_formula(formula, DECLARED)
