"""The data protection officer's page cites only tests and commands that exist."""

import ast
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from participant.commands.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "participant/data-protection.md").read_text()
EVIDENCE = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
COMMANDS = sorted(
    {
        line
        for page in (PAGE, (ROOT / "participant/README.md").read_text())
        for line in re.findall(r"(?:^    |`)secagg-participant ([a-z]+(?: [a-z]+)?)", page, re.MULTILINE)
    }
)


def test_the_table_has_evidence_for_each_duty():
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and "164." in line]
    assert len(rows) >= 20
    for article in ("32(1)(a)", "32(1)(b)", "32(1)(c)", "32(1)(d)"):
        assert any(article in row and "tests/" in row for row in rows), article
    for rule in ("(a)(1)", "(a)(2)(i)", "(a)(2)(ii)", "(a)(2)(iii)", "(a)(2)(iv)", "(b)", "(c)(1)", "(d)", "(e)(1)"):
        assert any(f"164.312{rule}" in row or (rule == "(d)" and ", (d)" in row) for row in rows), rule


@pytest.mark.parametrize(("file", "test"), EVIDENCE, ids=[test for _, test in EVIDENCE])
def test_evidence_exists(file, test):
    tree = ast.parse((ROOT / file).read_text())
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_commands_exist():
    assert len(COMMANDS) >= 15
    for line in COMMANDS:
        words = line.split()
        said = CliRunner().invoke(app, [words[0], "--help"])
        assert said.exit_code == 0, line
        if "Commands" in said.stdout and len(words) > 1:
            assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0, line


def test_the_template_asks_what_the_law_asks():
    """Art. 35(7): a description, necessity and proportionality, risks, measures."""
    template = PAGE.partition("## Template of a data protection impact assessment")[2]
    for part in ("Description", "Legal basis", "Necessity and proportionality", "Risks to patients", "Measures"):
        assert f"**{part}" in template, part
