import pytest

from participant.data import report


@pytest.fixture
def pictures() -> None:
    """Asked for by tests of the report's pictures; the others need not wait for them."""


@pytest.fixture(autouse=True)
def _quick_reports(request, monkeypatch) -> None:
    if "pictures" not in request.fixturenames:
        write = report.write
        monkeypatch.setattr(report, "write", lambda facts, folder, **_: write(facts, folder, pictures=False))
