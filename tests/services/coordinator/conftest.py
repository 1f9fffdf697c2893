"""A coordinator with four sites, whose daemons run in this process, at a real relay."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cohort import Cohort, cohort


@pytest.fixture
async def four(tmp_path: Path) -> AsyncIterator[Cohort]:
    async with cohort(tmp_path / "net", sites=4) as there:
        yield there
