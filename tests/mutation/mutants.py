"""Small faults in a module's code: every place where one can be made, one fault per mutant.

A mutant is the module's text with one node of its syntax tree changed: a comparison turned or shifted, a condition that
is always or never met, a number off by one, a similar operator, a check or a call left out. Docstrings, annotations
and error messages stay, since no test should depend on them.
"""

import ast
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
}  # fmt: skip
_LEFT_OUT = {"annotation", "returns", "decorator_list"}
_CONTEXT = 40  # characters of the line that are shown on both sides of a change


@dataclass(frozen=True)
class Mutant:
    """A faulty text of a module, and the change in words: the function or class, and the line before and after."""

    place: str
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.before} => {self.after}"


class _Site(NamedTuple):
    place: str
    node: ast.AST


def mutants(source: str, place: str | None = None) -> Iterator[Callable[[], Mutant]]:
    """Yield what makes each mutant of a module, or of one function or class of it."""
    tree = ast.parse(source)
    for number, site in enumerate(_sites(tree, "")):
        if place is None or place == (site.place or "module"):
            for change in _changes(site.node):
                yield partial(_mutant, tree, number, change)


def _mutant(tree: ast.Module, number: int, change: Callable[[ast.AST], None]) -> Mutant:
    faulty = deepcopy(tree)
    site = list(_sites(faulty, ""))[number]
    change(site.node)
    text = ast.unparse(ast.fix_missing_locations(faulty))
    return Mutant(site.place or "module", *_shown(ast.unparse(tree), text), text)


def _sites(tree: ast.AST, place: str) -> Iterator[_Site]:
    """Yield the nodes that may be changed, always in the same order."""
    for name, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or name in _LEFT_OUT or _names_a_type(node):
                continue
            inner = place
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inner = f"{place}.{node.name}".lstrip(".")
            if hasattr(node, "lineno"):
                yield _Site(inner, node)
            if not isinstance(node, ast.Raise):
                yield from _sites(node, inner)


def _names_a_type(node: ast.AST) -> bool:
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.annotation) == "TypeAlias"
    return isinstance(node, ast.JoinedStr | ast.ImportFrom | ast.Import) or (
        isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated"
    )


def _changes(node: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    match node:
        case ast.Compare(ops=ops):
            for i in range(len(ops)):
                yield partial(_compare_otherwise, i)
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _COMPUTED:
            yield lambda at: setattr(at, "op", _COMPUTED[type(op)]())
        case ast.BoolOp(op=op):
            yield lambda at: setattr(at, "op", ast.And() if isinstance(op, ast.Or) else ast.Or())
        case ast.UnaryOp(op=ast.Not()):
            yield lambda at: setattr(at, "operand", ast.UnaryOp(ast.Not(), at.operand))
        case ast.If() | ast.IfExp() | ast.While():
            yield lambda at: setattr(at, "test", ast.Constant(False))
            if not isinstance(node, ast.While):
                yield lambda at: setattr(at, "test", ast.Constant(True))
        case ast.Constant(value=bool(value)):
            yield lambda at: setattr(at, "value", not value)
        case ast.Constant(value=int(value)):
            yield lambda at: setattr(at, "value", value + 1)
        case ast.Constant(value=bytes(value)):
            yield lambda at: setattr(at, "value", value + b"\1")
        case ast.Raise():
            yield _to_nothing
        case ast.Expr(value=ast.Call()):
            yield lambda at: setattr(at, "value", ast.Constant(None))
        case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
            yield lambda at: setattr(at, "value", ast.Constant(None))


def _compare_otherwise(place: int, node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops[place] = _COMPARED[type(node.ops[place])]()


def _to_nothing(node: ast.AST) -> None:
    node.__class__ = ast.Pass  # type: ignore[assignment]
    node._fields = ()


def _shown(text: str, changed: str) -> tuple[str, str]:
    """Return the line that a change is in, before and after it; of a long one what is around the change."""
    pairs = zip(text.splitlines(), changed.splitlines(), strict=True)
    before, after = next((a, b) for a, b in pairs if a != b)
    start = _alike(before, after)
    end = _alike(before[:start:-1], after[:start:-1])
    cut = max(0, start - _CONTEXT)
    return tuple(line[cut : len(line) - max(0, end - _CONTEXT)].strip() for line in (before, after))


def _alike(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
