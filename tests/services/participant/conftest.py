import pytest

from relay.server.commands import authority
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


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    """A relay with a certificate of a private authority; returns its process and the authority's folder."""
    folder = tmp_path_factory.mktemp("tls")
    authority.init(folder / "tls", ["127.0.0.1"], days=30)
    pair = {"SECAGG_RELAY_TLS_CERTIFICATE": folder / "tls/relay.pem", "SECAGG_RELAY_TLS_KEY": folder / "tls/relay.key"}
    with RelayProcess.start(folder / "data", environment={name: str(path) for name, path in pair.items()}) as relay:
        yield relay, folder / "tls"
