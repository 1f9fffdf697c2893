"""The mutants of a text are all its small faults, one each; and a faulty module is imported before the real one."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

from tests.mutation.__main__ import OWN_TESTS, ROOT, SURVIVORS, _Finder
from tests.mutation.mutants import mutants

SOURCE = '''
"""A module."""
LIMIT: int = 3

def least(values: list, strict: bool = True) -> int:
    """Return the least value."""
    if not values and strict:
        raise ValueError(f"no {LIMIT + 1} values")
    values.sort()
    return values[0] + 1 if values[0] < LIMIT else 0
'''


def faults(source: str) -> set[tuple[str, str]]:
    return {(made.before, made.after) for made in (make() for make in mutants(source))}


def test_every_small_fault_is_made_once():
    assert faults(SOURCE) == {
        ("LIMIT: int = 3", "LIMIT: int = 4"),
        ("def least(values: list, strict: bool=True) -> int:", "def least(values: list, strict: bool=False) -> int:"),
        ("if not values and strict:", "if False:"),
        ("if not values and strict:", "if True:"),
        ("if not values and strict:", "if not values or strict:"),
        ("if not values and strict:", "if not not values and strict:"),
        ("raise ValueError(f'no {LIMIT + 1} values')", "pass"),
        ("values.sort()", "None"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return None"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return values[0] + 1 if False else 0"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return values[0] + 1 if True else 0"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return values[0] - 1 if values[0] < LIMIT else 0"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return values[1] + 1 if values[0] < LIMIT else 0"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return values[0] + 2 if values[0] < LIMIT else 0"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return values[0] + 1 if values[0] <= LIMIT else 0"),
        ("return values[0] + 1 if values[0] < LIMIT else 0", "return values[0] + 1 if values[1] < LIMIT else 0"),
        ("values[0] + 1 if values[0] < LIMIT else 0", "values[0] + 1 if values[0] < LIMIT else 1"),
    }  # fmt: skip


def test_a_mutant_says_where_it_is():
    assert {make().place for make in mutants(SOURCE)} == {"module", "least"}


@pytest.mark.parametrize("name", ["shamir", "protocol.step"])
def test_every_mutant_of_a_module_is_another_program(name):
    source = (ROOT / "secagg" / f"{name.replace('.', '/')}.py").read_text()
    texts = [make().text for make in mutants(source)]
    assert len(texts) > 20
    assert len(set(texts)) == len(texts)
    assert ast.unparse(ast.parse(source)) not in texts
    for text in texts:
        compile(text, name, "exec")


def test_a_faulty_text_is_found_in_a_modules_place(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [_Finder({"secagg.faulty": "VALUE = 1"}), *sys.meta_path])
    assert importlib.import_module("secagg.faulty").VALUE == 1
    monkeypatch.delitem(sys.modules, "secagg.faulty")


def test_the_tests_of_each_module_are_there():
    for names in OWN_TESTS.values():
        assert all((ROOT / "tests" / f"{name}.py").is_file() for name in names.split())


def test_what_is_explained_is_still_a_mutant():
    for line in re.findall(r"^- `(.+)`$", Path(SURVIVORS).read_text(), re.MULTILINE):
        name, _, change = line.partition(" ")
        source = (ROOT / "secagg" / f"{name.replace('.', '/')}.py").read_text()
        place = change.partition(":")[0]
        made = (make() for make in mutants(source, place=place))
        assert change in {str(mutant) for mutant in made}, f"{line}: leave it out of survivors.md"
