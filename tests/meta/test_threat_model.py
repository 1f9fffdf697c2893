"""Each pitfall and recipe of the threat model has tests that name it in their docstrings, and tests name no other.

The checks that an item lists are those whose tests name it, and attacks outside the protocol are shown to succeed.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ITEM = re.compile(r"^- \*\*((?:pitfall|recipe) \d+)\*\* (.+?)(?=\n\n|\n- |\Z)", re.MULTILINE | re.DOTALL)
LISTED = dict(ITEM.findall((ROOT / "specs" / "00-threat-model.md").read_text()))
NAMED = re.compile(r"\b(pitfall|recipe)s? (\d+(?:(?:, | and )\d+)*)", re.IGNORECASE)


def items_named_in(docstring: str) -> set[str]:
    return {f"{kind.lower()} {i}" for kind, numbers in NAMED.findall(docstring) for i in re.findall(r"\d+", numbers)}


def by_item() -> dict[str, set[tuple[str, str]]]:
    """Return file and name of each test that names an item; a module's docstring speaks for all its tests."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(), str(path))
        for node in (tree, *(node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))):
            for item in items_named_in(ast.get_docstring(node) or ""):
                found[item].add((path.name, getattr(node, "name", "")))
    return found


TESTS = by_item()


def test_the_list_is_whole():
    assert list(LISTED) == [
        *(f"pitfall {i}" for i in range(1, 34)),
        *(f"recipe {i}" for i in (1, *range(3, 27), 36, 37, 38)),
    ]


def test_every_item_has_a_test_and_tests_name_no_other():
    assert set(TESTS) == set(LISTED)


@pytest.mark.parametrize("item", LISTED)
def test_the_checks_of_an_item_are_those_of_its_tests(item):
    matches = (re.match(r"test_V_(\d{4})_", name) for _, name in TESTS[item])
    assert set(re.findall(r"V-\d{4}", LISTED[item])) == {f"V-{match[1]}" for match in matches if match}


def test_what_is_outside_is_shown():
    outside = {item for item, text in LISTED.items() if "*Outside:*" in text}
    assert outside == {item for item, tests in TESTS.items() if "test_outside.py" in {file for file, _ in tests}}


def test_names_are_found_in_every_form():
    assert items_named_in("Pitfalls 1, 2 and 33, recipe 14: nothing. Pitfalls are many, recipes too.") == {
        "pitfall 1",
        "pitfall 2",
        "pitfall 33",
        "recipe 14",
    }
