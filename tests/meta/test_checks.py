"""specs/03-checks.md, the code and the tests have the same check IDs and the same errors."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from secagg import errors

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (V-\d{4}) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TABLE = {check: error for check, _, error, _ in ROW.findall((ROOT / "specs" / "03-checks.md").read_text())}
MALFORMED = {check for check in TABLE if check.startswith("V-01")}
REFUSALS = {check for check, error in TABLE.items() if error == "refusal in the receipt"}
AUTHORS = {"FaultyParticipantError", "FaultyCoordinatorError"}


def trees(*parts: str) -> Iterator[ast.Module]:
    for path in sorted(ROOT.joinpath(*parts).rglob("*.py")):
        yield ast.parse(path.read_text(), str(path))


def in_code() -> set[str]:
    constants = (node.value for tree in trees("secagg") for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and re.fullmatch(r"V-\d{4}", value)}


def in_tests() -> dict[str, set[str]]:
    """Return, for each ID that a test is named for, the errors that its tests name, also those of their helpers."""
    found: dict[str, set[str]] = {}
    for tree in trees("tests", "reject"):
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        for name in functions:
            if match := re.match(r"test_V_(\d{4})_", name):
                found.setdefault(f"V-{match[1]}", set()).update(named(name, functions))
    return found


def named(name: str, functions: dict[str, ast.FunctionDef]) -> set[str]:
    names = {node.id for node in ast.walk(functions[name]) if isinstance(node, ast.Name)}
    helpers = (names & set(functions)) - {name}
    return {one for one in names if hasattr(errors, one)}.union(*(named(one, functions) for one in helpers))


def test_table_code_and_tests_have_the_same_ids():
    assert len(TABLE) > 60
    assert set(TABLE) == in_code()
    assert set(TABLE) == set(in_tests())


def test_the_table_ascends():
    assert list(TABLE) == sorted(TABLE)


@pytest.mark.parametrize("check", sorted(set(TABLE) - REFUSALS))
def test_tests_assert_the_errors_of_the_table(check):
    """A malformed body of a signed frame is its author's fault, under the ID of the rule that it breaks."""
    listed = set(TABLE[check].split(", "))
    asserted = in_tests()[check]
    assert listed <= asserted
    assert asserted <= listed | (AUTHORS if check in MALFORMED else set())


def test_refusals_are_for_dealers_alone():
    assert {check for check in REFUSALS if in_tests()[check]} == set()


@pytest.mark.parametrize("check", sorted(set(TABLE) - REFUSALS))
def test_errors_of_the_table_exist(check):
    for name in TABLE[check].split(", "):
        assert issubclass(getattr(errors, name), errors.ProtocolError)
