"""The specification's tables match the code: layouts with their limits, transitions, bounds."""

import pytest

from specs.generate import PAGES, filled


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_those_of_the_code(page):
    text = page.read_text()
    assert text.count("<!-- generated: ") == text.count("<!-- end -->") > 0
    assert filled(text) == text, "make vectors"
