"""How the client handles `Retry-After`, and files that are unusable for TLS."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.client.errors import RelayUnavailableError
from relay.client.exchange import Tls, _pause_asked
from relay.client.transport import RelayClient
from relay.server.core.problem import BAD_ADDRESS, Problem, respond
from secagg.errors import ParameterError
from secagg.identity import Identity


@pytest.mark.parametrize(("header", "seconds"), [("", 0), ("7", 7), ("soon", 0), ("٣", 0), ("-1", 0), ("1.5", 0)])
def test_a_number_of_seconds(header, seconds):
    assert _pause_asked(header) == seconds


def test_a_date():
    later = datetime.now(UTC) + timedelta(seconds=40)
    assert 35 < _pause_asked(format_datetime(later, usegmt=True)) <= 40
    assert _pause_asked(format_datetime(later - timedelta(hours=1), usegmt=True)) < 0  # no pause
    assert _pause_asked(later.replace(tzinfo=None).strftime("%a, %d %b %Y %H:%M:%S")) == 0  # of nobody's zone


def test_files_that_do_not_serve(tmp_path):
    (tmp_path / "x.pem").write_text("no certificate")
    for tls in (Tls(ca_file=tmp_path / "none"), Tls(ca_file=tmp_path / "x.pem"), Tls(cert_file=tmp_path / "x.pem")):
        with pytest.raises(ParameterError, match="cannot use these files for TLS"):
            tls.context()


async def test_a_refused_address_decides_nothing_about_a_request():
    """A mistyped list of addresses, or a proxy's odd header: an outbox keeps its frames meanwhile."""

    async def refuse(_: web.Request) -> web.Response:
        return respond(Problem(BAD_ADDRESS, "not from there"), "urn:uuid:x")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(app) as server, RelayClient(str(server.make_url("/")), Identity(bytes(32))) as client:
        with pytest.raises(RelayUnavailableError, match="not from there"):
            await client.sites()
