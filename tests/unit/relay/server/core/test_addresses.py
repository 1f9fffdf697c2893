"""The client address of a request, when some proxies that report it cannot be trusted."""

from ipaddress import ip_address, ip_network

import pytest

from relay.server.core.addresses import Addresses, household, plain
from relay.server.core.problem import Problem

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))
PROXY, STRANGER = ip_address("10.0.0.1"), ip_address("198.51.100.7")


def origin(peer, *forwarded):
    return str(Addresses(PROXIES, ()).origin(peer, forwarded))


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        (STRANGER, [], "198.51.100.7"),
        (STRANGER, ["203.0.113.1"], "198.51.100.7"),  # a stranger's word
        (PROXY, [], "10.0.0.1"),
        (PROXY, ["203.0.113.1"], "203.0.113.1"),
        (PROXY, ["192.0.2.1, 203.0.113.1"], "203.0.113.1"),  # what the client wrote stands to the left
        (PROXY, ["192.0.2.1", "203.0.113.1"], "203.0.113.1"),  # in two headers
        (PROXY, ["203.0.113.1, 10.0.0.2"], "203.0.113.1"),  # through two proxies
        (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (PROXY, ["2001:db8::1"], "2001:db8::1"),
        (PROXY, ["nonsense, 203.0.113.1"], "203.0.113.1"),  # never looked at
    ],
)
def test_origin(peer, forwarded, found):
    assert origin(peer, *forwarded) == found


@pytest.mark.parametrize("forwarded", ["nonsense", "", "1.2.3.4:80", "203.0.113.1,"])
def test_a_proxy_that_passes_on_nonsense(forwarded):
    with pytest.raises(Problem, match="bad-address"):
        origin(PROXY, forwarded)


def test_one_address_in_two_spellings():
    assert plain("::ffff:10.0.0.1") == PROXY
    assert plain("fe80::1%eth0") == ip_address("fe80::1")


def test_a_household_is_limited_together():
    assert household(STRANGER) == STRANGER
    assert household(ip_address("2001:db8::1")) == household(ip_address("2001:db8::ffff:1"))
    assert household(ip_address("2001:db8::1")) != household(ip_address("2001:db8:0:1::1"))


def test_allowed():
    everyone, some = Addresses((), ()), Addresses((), (ip_network("198.51.100.0/24"),))
    assert everyone.is_allowed(STRANGER)
    assert everyone.is_allowed(PROXY)
    assert some.is_allowed(STRANGER)
    assert not some.is_allowed(PROXY)
    assert not some.is_allowed(ip_address("::1"))
