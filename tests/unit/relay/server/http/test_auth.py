"""Whose relay a signed request is for: one that was recorded at another relay is refused."""

import time
from collections.abc import Sequence

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from relay.api.signing import COVERED_BEFORE, RequestHead, Signed, authority_of, sign
from relay.server.core.problem import Problem
from relay.server.http.auth import authenticate
from secagg.identity import Identity
from tests.support.relay_requests import Signature, new_nonce

IDENTITY = Identity(bytes(range(32)))
HERE, THERE = "https://relay.example.org:8443", "https://other.example.org"
NAMES = ("relay.example.net", "relay.example.org:8443")


def headers_for(relay: str) -> CIMultiDict[str]:
    head = RequestHead("GET", f"{relay}/v1/projects", CIMultiDict())
    sign(IDENTITY, head, b"", nonce=new_nonce(), created=int(time.time()))
    return CIMultiDict(head.headers)


def authenticated(headers: CIMultiDict[str], host: str, names: Sequence[str]) -> Signed:
    request = make_mocked_request("GET", "/v1/projects", headers=CIMultiDict({**headers, "Host": host}))
    return authenticate(request, names)


@pytest.mark.parametrize("host", ["relay.example.org:8443", "upstream:8440", "no host!"])
def test_a_relay_with_names_takes_what_is_signed_for_one_of_them_whatever_a_proxy_made_of_host(host: str) -> None:
    assert authenticated(headers_for(HERE), host, NAMES).key == IDENTITY.public
    assert authenticated(headers_for("https://relay.example.net:443"), host, NAMES).key == IDENTITY.public


@pytest.mark.parametrize("host", ["relay.example.org:8443", "other.example.org"])
def test_a_request_recorded_at_another_relay_is_refused(host: str) -> None:
    with pytest.raises(Problem, match="does not verify"):
        authenticated(headers_for(THERE), host, NAMES)


def test_without_names_the_host_of_the_request_decides() -> None:
    assert authenticated(headers_for(HERE), "Relay.example.org:8443", ()).key == IDENTITY.public
    for host in ("other.example.org", "no host!"):
        with pytest.raises(Problem, match="the relay's operator sets public_names"):
            authenticated(headers_for(HERE), host, ())


def test_an_earlier_client_is_told_to_update_where_names_are_set() -> None:
    before = CIMultiDict(Signature.of(IDENTITY, covered=COVERED_BEFORE).sign("GET", f"{HERE}/v1/projects", b""))
    assert authenticated(before, "anything", ()).key == IDENTITY.public
    with pytest.raises(Problem, match="does not cover @authority, which this relay requires: update secagg"):
        authenticated(before, "relay.example.org:8443", NAMES)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Relay.Example.org/v1", "relay.example.org"),
        ("https://relay.example.org:443/v1", "relay.example.org"),
        ("http://relay.example.org:443/v1", "relay.example.org:443"),
        ("http://[::1]:80/v1", "[::1]"),
        ("http://[::1]:8440/v1", "[::1]:8440"),
    ],
)
def test_the_authority_of_an_address(url: str, authority: str) -> None:
    assert authority_of(url) == authority
