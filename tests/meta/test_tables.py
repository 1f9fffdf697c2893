"""The specification's tables match the code: layouts with their limits, transitions, bounds."""

import pytest

from specs.generate import PAGES, filled


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_those_of_the_code(page):
    text = page.read_text()
    least = 1 if page.name == "disclosure.md" else 4
    assert text.count("<!-- generated: ") == text.count("<!-- end -->") >= least
    assert filled(text) == text, "make vectors"
