import pytest

from participant.data.report import html


@pytest.fixture
def pictures() -> None:
    """Asked for by tests of the report's pictures; the others need not wait for them."""


@pytest.fixture(autouse=True)
def _quick_reports(request, monkeypatch) -> None:
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(html, "distribution", lambda seen: None)
        monkeypatch.setattr(html, "missingness", lambda columns: None)
