"""Checks of the path to the relay and of its answers. Checks after a broken step only report that step."""

import asyncio
import time

from participant.doctor.connection_health import ConnectionHealth
from participant.doctor.look import Look
from relay.api.signing import WINDOW_S
from relay.api.wire import RelayFacts
from relay.client.errors import RelayError, RelayUnavailableError
from relay.client.transport import RelayClient
from relay.service.checkup import Check, finding
from relay.service.dates import expiry
from secagg import __version__

_STEPS = ("dns", "proxy", "connection", "tls", "answer")
_DAY_S = 86_400
_ROUND_TRIPS = 3
_SLOW_S = 2.0


def proxy(look: Look) -> Check:
    """Which proxy is used, and does it let connections through?"""
    health = look.health
    if health.proxy is None:
        return finding(True, "none: the connection is direct")
    shown = health.proxy.with_user(None)
    remedy = "check its address, user and password (configure --proxy), and that it allows CONNECT to the relay"
    return finding(
        health.broken != "proxy", f"{shown}: {health.why if health.broken == 'proxy' else 'it answers'}", remedy
    )


def dns(look: Look) -> Check:
    """Does the name of the relay, or of the proxy in front of it, resolve?"""
    return _step(look.health, "dns", "check the name, and that this machine resolves it: resolvectl query NAME")


def connection(look: Look) -> Check:
    """Does the port accept connections?"""
    remedy = "check that the relay is up, that the firewall allows this port, and whether a proxy is needed"
    return _step(look.health, "connection", remedy)


def tls(look: Look) -> Check:
    """Does the certificate chain to a trusted authority, and is it for this name?"""
    remedy = (
        "private authority: configure --ca-file; proxy that intercepts TLS: exempt the relay's name; "
        "expired or wrong certificate: call the relay's operator"
    )
    return _step(look.health, "tls", remedy)


def certificate_expiry(look: Look) -> Check:
    """Is the relay's certificate valid for some time to come?"""
    until = look.health.expires
    if until is None:
        return _without(look.health, "tls", "no certificate, because the relay is on this machine")
    left_s = until - time.time()
    return finding(left_s > 14 * _DAY_S, expiry(left_s), "ask the relay's operator to renew it")


def authority(look: Look) -> Check:
    """Which authorities vouch for the relay?"""
    look.settings.tls.context()
    path = look.settings.ca_file
    return finding(True, "this machine's authorities" if path is None else f"only those in {path}")


def relay(look: Look) -> Check:
    """Did the answer come from a relay?"""
    return _step(
        look.health, "answer", "check the address; a proxy or login portal may have answered instead of the relay"
    )


def clock_of_the_relay(look: Look) -> Check:
    """Do the clocks agree? Signatures are valid for a minute."""
    ahead = look.health.ahead_s
    if ahead is None:
        return _without(look.health, "answer", "its answer carried no date")
    detail = f"the relay's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
    return finding(abs(ahead) < WINDOW_S / 2, detail, "set this machine's clock, or call the relay's operator")


def enrolled(look: Look) -> Check:
    """Does the relay accept this site's signature?"""
    _require(look.health)
    try:
        facts, _ = asyncio.run(_asked(look, 1))
    except RelayError as error:
        return finding(False, str(error), "run enroll; if the key was revoked, ask the relay's operator why")
    return finding(True, f"accepted; the relay's epoch is {str(facts.epoch)[:8]}")


def round_trip(look: Look) -> Check:
    """How long does a signed request take?"""
    _require(look.health)
    _, seconds = asyncio.run(_asked(look, _ROUND_TRIPS))
    return finding(
        min(seconds) < _SLOW_S, f"{min(seconds) * 1000:.0f} ms", "the connection is slow; check what else uses it"
    )


def relay_version(look: Look) -> Check:
    """Are the versions of site and relay compatible?"""
    _require(look.health)
    facts, _ = asyncio.run(_asked(look, 1))
    same = facts.version.split(".")[:1] == __version__.split(".")[:1]
    return finding(
        same, f"the relay runs {facts.version}, this site {__version__}", "install a release of the same major version"
    )


async def _asked(look: Look, times: int) -> tuple[RelayFacts, list[float]]:
    client: RelayClient = look.settings.client(look.identity, give_up_after_s=5)
    seconds = []
    async with client:
        for _ in range(times):
            began = time.monotonic()
            facts = await client.relay()
            seconds.append(time.monotonic() - began)
    return facts, seconds


def _step(health: ConnectionHealth, step: str, remedy: str) -> Check:
    if health.broken == step:
        return finding(False, health.why, remedy)
    if step in health.steps:
        return finding(True, health.steps[step])
    return _without(health, step, "")


def _without(health: ConnectionHealth, step: str, otherwise: str) -> Check:
    """Return the finding of a check that an earlier broken step prevented."""
    if health.broken and (step not in _STEPS or _STEPS.index(health.broken) <= _STEPS.index(step)):
        return finding(False, f"not reached: {health.broken} failed", f"fix {health.broken} first")
    return finding(True, otherwise)


def _require(health: ConnectionHealth) -> None:
    if health.broken:
        raise RelayUnavailableError(f"not reached: {health.broken} failed: {health.why}")
