import pytest

from participant.data.pipeline import importing


@pytest.fixture
def pictures() -> None:
    """Asked for by tests of the report's pictures; the others need not wait for them."""


@pytest.fixture(autouse=True)
def _quick_reports(request, monkeypatch) -> None:
    if "pictures" not in request.fixturenames:
        write = importing.write
        monkeypatch.setattr(importing, "write", lambda facts, folder, **_: write(facts, folder, pictures=False))
