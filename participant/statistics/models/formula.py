"""Formulas: a small R-like notation for a design. Only the design is sent, never the text.

    y ~ age + C(sex) + age:sex + log(x) - 1

`+`, `-`, `:`, `*`, `/`, `**`, parentheses, `1` and `0` have their meaning from R; formulaic's parser reads them, and
nothing is ever evaluated. `%in%` is refused: R reads `x %in% g` as `x:g`, and other libraries as `g/x`. A factor is the
name of a declared variable, or one of

    C(v), C(v, ref=2)             a category, with its first level or another one as reference
    log(v), sqrt(v)               transformations
    I(v ** 2), I(v >= 50)         a power, an indicator
    center(v, 60), scale(v, 60, 10)     with given numbers, as no site knows the pooled mean
    ns(v, knots=[50, 65]), bs(v, knots=[50, 65], degree=3), poly(v, 2)      bases of smooth curves (`basis`)

A category gets treatment coding, or full coding if nothing else in the model spans its levels, as in R.

Sources: Wilkinson, Rogers 1973, Appl Statist 22:392; patsy's documentation, "Redundancy and categorical factors".
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, cast

from pydantic import ValidationError

from participant.statistics.language.conditions import Operator
from participant.statistics.language.definitions import Definition
from participant.statistics.language.query import in_words
from participant.statistics.models.basis import Basis
from participant.statistics.models.design import Category, Coding, Design, Function, Indicator, Log, Numeric, Power
from participant.statistics.models.variables import Variable
from secagg.errors import ParameterError

MAX_LENGTH = 2000

_COMPARE: Mapping[type[ast.cmpop], Operator] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}

_WORDS = {
    "`.` operator": "a dot cannot stand for all other variables; name each of them",
    "Expected: )": "a closing bracket is missing",
    "context marker": "a bracket has no partner",
    "`~`": "there may be one ~, between the outcome and the covariates",
    "`**`": "** needs a whole number above 0",
    "arguments and/or is misplaced": "an operator lacks a term",
    "Missing operator": "an operator is missing between two terms",
    "Unknown operator": "this is not an operator",
    "Numeric literals": "a number other than 0 and 1 cannot be a term",
    "String literals": "text in quotes cannot be a term",
}
"""What formulaic's parser says, in part, and what it means for the author of a formula."""

Declared = Mapping[str, Variable | Category]
"""The variables that a formula may name: numbers with their range, categories with their levels."""

Parsed = Numeric | Coding | Basis


class FormulaError(ParameterError):
    """The formula goes beyond the supported subset or names something undeclared; the message says what."""


def declared(definitions: Iterable[Definition]) -> dict[str, Variable | Category]:
    """Return a project's variables in the form that formulas use, without numbers that lack a published range."""
    result: dict[str, Variable | Category] = {}
    for one in definitions:
        levels = (0.0, 1.0) if one.type == "boolean" else tuple(float(level.number) for level in one.categories)
        if len(levels) > 1:
            result[one.code] = Category(column=one.code, levels=levels)
        elif one.low is not None and one.high is not None:
            result[one.code] = Variable(column=one.code, low=one.low, high=one.high)
    return result


@dataclass(frozen=True, slots=True)
class Model:
    """A parsed formula: the outcome on its left, or None, and the design on its right."""

    outcome: Numeric | Coding | Basis | None
    design: Design


def parse_formula(text: str, declared: Declared) -> Model:
    """Return the model that a formula describes.

    Args:
        text: the formula.
        declared: variables that it may name: numeric ones with their range, categories with their levels.

    Raises:
        FormulaError: the text is not a formula, goes beyond the subset, or uses a name in an undeclared way.
    """
    left, right = _sides(text)
    outcome = [_factor(factor, declared) for term in left for factor in term.factors]
    if len(outcome) > 1 or len(left) > 1:
        raise FormulaError("a formula must have one outcome on its left side")
    terms = [
        tuple(_factor(factor, declared) for factor in term.factors if not _is_one(factor))
        for term in sorted(right, key=lambda term: term.degree)
    ]
    try:
        return Model(outcome[0] if outcome else None, Design(terms=tuple(_coded(terms))))
    except ValidationError as error:
        raise FormulaError(f"the formula does not define a valid design: {in_words(error)}") from None


def _sides(text: str) -> tuple[list[Any], list[Any]]:
    """Return the terms of both sides, from formulaic's parser."""
    from formulaic.errors import FormulaicError  # noqa: PLC0415 - takes seconds to load, and few processes need it
    from formulaic.parser import DefaultFormulaParser  # noqa: PLC0415

    if len(text) > MAX_LENGTH:
        raise FormulaError(f"a formula may have at most {MAX_LENGTH} characters")
    if "%" in text:
        raise FormulaError("%in% is not supported; write x:g, or g/x, for a slope of x within each level of g")
    try:
        parsed = DefaultFormulaParser(include_intercept=True).get_terms(text)
    except (FormulaicError, SyntaxError, ValueError, TypeError, RecursionError, KeyError) as error:
        raise FormulaError(f"this is not a formula: {_complaint(str(error))}") from None
    sides = parsed._structure if hasattr(parsed, "_structure") else {"root": parsed}  # noqa: SLF001
    right = sides.get("rhs", sides.get("root"))
    if isinstance(right, tuple) or right is None or not right:
        raise FormulaError("a formula must have one right side with at least one term")
    return list(sides.get("lhs", ())), list(right)


def _complaint(text: str) -> str:
    """Return a parser's complaint in words for the formula's author. The parser marks the place with terminal codes."""
    words = next((_WORDS[said] for said in _WORDS if said in text), "it cannot be read")
    found = re.search("\u29db(.*?)\u29da", re.sub("\x1b\\[[0-9;]*m", "", text))
    return f"{words}, at {found[1][:40]!a}" if found else words


def _is_one(factor: Any) -> bool:
    return bool(factor.eval_method.value == "literal" and factor.expr == "1")


def _factor(factor: Any, declared: Declared) -> Parsed:
    if factor.eval_method.value == "literal":
        raise FormulaError(f"{factor.expr!r} is not a variable; numbers must stand alone, as in '- 1'")
    if factor.eval_method.value == "lookup":
        return _named(factor.expr, declared)
    try:
        node = ast.parse(factor.expr, mode="eval").body
        return _read(node, declared)
    except ValidationError as error:
        raise FormulaError(f"{factor.expr}: {in_words(error)}") from None
    except SyntaxError:
        raise _beyond(factor.expr) from None


def _named(name: str, declared: Declared) -> Parsed:
    variable = _declared(name, declared)
    if isinstance(variable, Category):
        return _category(variable, None)
    return _numeric(name, declared)


def _declared(name: str, declared: Declared) -> Variable | Category:
    try:
        return declared[name]
    except KeyError:
        shown = ascii(name[:80])[1:-1]
        raise FormulaError(
            f"the variable {shown} is not declared; declared are {', '.join(sorted(declared))}"
        ) from None


def _numeric(name: str, declared: Declared, function: Function | None = None) -> Numeric:
    variable = _declared(name, declared)
    if not isinstance(variable, Variable):
        raise FormulaError(f"{name} is declared as a category, but a number with a range is needed here")
    numeric = Numeric(column=variable.column, low=variable.low, high=variable.high)
    return numeric if function is None else Numeric.model_validate({**dict(numeric), "function": function})


def _category(variable: Category, reference: float | None) -> Coding:
    chosen = variable.levels[0] if reference is None else reference
    return Coding(column=variable.column, levels=variable.levels, reference=chosen)


def _read(node: ast.expr, declared: Declared) -> Parsed:
    """Read one factor from its Python syntax tree."""
    match node:
        case ast.Call(func=ast.Name(id="C"), args=[inner], keywords=keywords) if (name := _name(inner)) is not None:
            variable = _declared(name, declared)
            if not isinstance(variable, Category):
                raise FormulaError(f"{name} is declared as a number, but C() needs a category with its levels")
            match keywords:
                case []:
                    return _category(variable, None)
                case [ast.keyword(arg="ref", value=value)] if (reference := _number(value)) is not None:
                    return _category(variable, reference)
        case ast.Call(func=ast.Name(id="bs" | "ns" | "poly")):
            return _basis(node, declared)
        case ast.Call(func=ast.Name(id="center"), args=[inner, centre], keywords=[]):
            return _shifted(inner, _number(centre), 1.0, declared)
        case ast.Call(func=ast.Name(id="scale"), args=[inner, centre, scale], keywords=[]):
            return _shifted(inner, _number(centre), _number(scale), declared)
        case ast.Call(func=ast.Name(id="center" | "scale")):
            raise FormulaError(
                "center(v, mean) and scale(v, mean, sd) need explicit numbers, as no site knows the pooled ones"
            )
        case _:
            return _transformed(node, declared)
    raise _beyond(ast.unparse(node))


def _basis(node: ast.Call, declared: Declared) -> Basis:
    match node:
        case ast.Call(func=ast.Name(id=kind), args=[inner, *rest], keywords=keywords) if name := _name(inner):
            variable = _numeric(name, declared)
            arguments = [(str(one.arg), one.value) for one in keywords] + [("degree", one) for one in rest]
            given = {one: numbers for one, value in arguments if (numbers := _numbers(value)) is not None}
            wanted = {"bs": [{"knots"}, {"knots", "degree"}], "ns": [{"knots"}], "poly": [{"degree"}]}[kind]
            if given.keys() in wanted and len(given) == len(arguments) and (kind == "poly" or not rest):
                function = {"kind": kind} | {one: _plain(one, numbers) for one, numbers in given.items()}
                of = {"column": variable.column, "low": variable.low, "high": variable.high}
                return Basis.model_validate(of | {"function": function})
    raise FormulaError(
        f"{ast.unparse(node)[:80]!r}: write ns(v, knots=[50, 65]), bs(v, knots=[50, 65], degree=3) or poly(v, 2)"
    )


def _numbers(node: ast.expr) -> list[float] | None:
    """Return a number or a list of numbers, also as R's ``c(50, 65)``."""
    match node:
        case ast.List(elts=elements) | ast.Call(func=ast.Name(id="c"), args=elements, keywords=[]):
            numbers = [_number(one) for one in elements]
        case _:
            numbers = [_number(node)]
    return None if None in numbers else cast("list[float]", numbers)


def _plain(name: str, numbers: list[float]) -> tuple[float, ...] | int | float:
    if name == "knots":
        return tuple(numbers)
    (degree,) = numbers if len(numbers) == 1 else (-1.0,)
    return int(degree) if degree == int(degree) else degree


def _shifted(inner: ast.expr, centre: float | None, scale: float | None, declared: Declared) -> Numeric:
    if centre is None or scale is None:
        raise FormulaError("center(v, mean) and scale(v, mean, sd) need numbers")
    read = _transformed(inner, declared)
    return Numeric(
        **read.model_dump(exclude={"centre", "scale", "function"}), function=read.function, centre=centre, scale=scale
    )


def _transformed(node: ast.expr, declared: Declared) -> Numeric:
    if (name := _name(node)) is not None:
        return _numeric(name, declared)
    match node:
        case ast.Call(func=ast.Name(id=function), args=[inner], keywords=[]):
            return _called(function, inner, declared)
    raise _beyond(ast.unparse(node))


def _called(function: str, inner: ast.expr, declared: Declared) -> Numeric:
    if (name := _name(inner)) is not None and function in {"log", "sqrt"}:
        return _numeric(name, declared, Log() if function == "log" else Power(exponent=0.5))
    match inner:
        case ast.BinOp(left=left, op=ast.Pow(), right=right) if function == "I":
            name, exponent = _name(left), _number(right)
            if name is not None and exponent is not None:
                return _numeric(name, declared, Power(exponent=exponent))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if function == "I" and type(op) in _COMPARE:
            name, value = _name(left), _number(right)
            if name is not None and value is not None:
                return _numeric(name, declared, Indicator(op=_COMPARE[type(op)], value=value))
    raise _beyond(f"{function}({ast.unparse(inner)})")


def _name(node: ast.expr) -> str | None:
    """Return the name of a variable, which may contain dots."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute) if (before := _name(value)) is not None:
            return f"{before}.{attribute}"
    return None


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand) if (positive := _number(operand)) is not None:
            return -positive
    return None


def _beyond(what: str) -> FormulaError:
    return FormulaError(
        f"{what[:80]!r} is not supported; a formula may use names, C(v), C(v, ref=2), log(v), sqrt(v), I(v ** 2), "
        "I(v >= 50), center(v, 60), scale(v, 60, 10), ns(v, knots=[50, 65]), bs(v, knots=[50, 65]), poly(v, 2), "
        "joined by + - : * / **"
    )


def _coded(terms: Iterable[tuple[Parsed, ...]]) -> Iterator[tuple[Parsed, ...]]:
    """Return the terms, with categories coded so that together they span the model's space without redundancy.

    A term of categories spans a space for each subset of them, with treatment coding. Spaces of earlier terms
    must not be spanned again; full coding of a category stands for treatment coding plus the space without it.
    """
    spanned: set[frozenset[Parsed]] = set()
    for term in terms:
        categories = [factor for factor in term if isinstance(factor, Coding)]
        numbers = frozenset(factor for factor in term if not isinstance(factor, Coding))
        subsets = {numbers.union(some) for some in _subsets(categories)}
        needed = subsets - spanned
        spanned |= subsets
        for full in _subsets(categories):
            reduced = frozenset(categories).difference(full)
            if {numbers | reduced | frozenset(some) for some in _subsets(full)} == needed:
                yield tuple(_in_full(factor) if factor in full else factor for factor in term)
                break
        else:
            names = ":".join(factor.column for factor in term)
            raise FormulaError(
                f"the term {names} needs some of its lower-order terms as well; write {names.replace(':', '*')}"
            )


def _in_full(factor: Parsed) -> Parsed:
    return cast("Coding", factor).model_copy(update={"reference": None})


def _subsets(items: Iterable[Parsed]) -> list[tuple[Parsed, ...]]:
    listed = list(items)
    return list(chain.from_iterable(combinations(listed, size) for size in range(len(listed) + 1)))
