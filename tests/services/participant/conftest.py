import pytest

from tests.support.relay_process import RelayProcess
from tests.support.site_process import site_in


@pytest.fixture(scope="session")
def relay(tmp_path_factory):
    """One relay for all tests of a worker that do not kill it; each test brings its own sites."""
    with RelayProcess.start(tmp_path_factory.mktemp("relay") / "data") as process:
        yield process


@pytest.fixture
def site(tmp_path, relay):
    """A site that is not enrolled yet."""
    with site_in(tmp_path / "site", relay.url) as made:
        yield made


@pytest.fixture
def enrolled(site, relay, request):
    """A site that is enrolled under the test's name."""
    site.asked("enroll", "--token", relay.token(), "--name", request.node.name[:60])
    return site
