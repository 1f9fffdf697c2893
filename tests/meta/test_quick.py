"""The tests that `make quick` runs exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "tests" / "quick.txt").read_text().split()


@pytest.mark.parametrize("line", LINES)
def test_what_is_listed_is_a_folder_a_file_or_a_test_in_it(line):
    place, _, test = line.partition("::")
    assert (ROOT / place).exists()
    name = test.partition("[")[0]
    assert not name or re.search(rf"^(async )?def {name}\(", (ROOT / place).read_text(), re.MULTILINE)
