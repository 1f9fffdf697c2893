"""The pages describe the repository correctly: named files exist, and contain the functions named with them."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.pages import PAGES, ROOT, links

PATH = re.compile(r"`((?:secagg|relay|participant|coordinator|tests|specs|bench|docs)/[\w./-]*)`")
OF_A_USER = re.compile(r"secagg/(relay|participant|coordinator)(\.toml)?")
"""In the user's own folders for settings and data."""
NAMED = re.compile(rf"{PATH.pattern}|`(\w+)\(\)`")
GUIDES = ("ARCHITECTURE.md", "CONTRIBUTING.md")


@cache
def defined(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"CHANGELOG.md"}))  # it names what was
def test_files_that_a_page_names_exist(page: str) -> None:
    named = {path for path in PATH.findall((ROOT / page).read_text()) if not OF_A_USER.fullmatch(path)}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    made = (ROOT / "mkdocs.yml").read_text()  # names the pages that only the site has
    lost = [target for target, _ in links(page) if not (ROOT / target).exists() and f": {target}\n" not in made]
    assert lost == []


@pytest.mark.parametrize("page", GUIDES)
def test_functions_are_in_the_file_that_is_named_with_them(page: str) -> None:
    """The file is the last one named before, or where the text says "`on_x()` of `file`", the next one."""
    checked, text = 0, (ROOT / page).read_text()
    for item in re.split(r"\n\n|\n *(?:\d+\.|[-*]) ", text):
        named = [(match[1], match[2], match.end()) for match in NAMED.finditer(item)]
        for place, (_, function, end) in enumerate(named):
            if not function:
                continue
            near = named[place + 1 :] if item[end:].startswith(" of") else reversed(named[:place])
            path = next((path for path, _, _ in near if path and path.endswith(".py")), None)
            assert path is not None, (function, item)
            assert function in defined(path), (function, path)
            checked += 1
    assert checked > 20 or page != "ARCHITECTURE.md"


def test_every_package_is_in_the_picture() -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text().partition("\n**")[0]
    folders = {path.parent.name for path in Path(ROOT).glob("*/__init__.py") if path.parent.name != "bench"}
    for package in folders:
        assert f"{package}/" in picture
        for folder in (ROOT / package).glob("*/__init__.py"):
            assert re.search(rf"\b{folder.parent.name}\b", picture), f"{package}/{folder.parent.name}"
