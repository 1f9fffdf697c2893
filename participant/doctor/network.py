"""Checks of the way to the relay, and of what it says. What comes after a broken step says so and no more."""

import asyncio
import time

from participant.doctor.connection_health import ConnectionHealth
from participant.doctor.look import Look
from relay.api.signing import WINDOW_S
from relay.api.wire import RelayFacts
from relay.client.errors import RelayError, RelayUnavailableError
from relay.client.transport import RelayClient
from relay.service.checkup import Check, finding
from secagg import __version__

_STEPS = ("dns", "proxy", "connection", "tls", "answer")
_DAY_S = 86_400
_ROUND_TRIPS = 3
_SLOW_S = 2.0


def proxy(look: Look) -> Check:
    """Which proxy is used, and does it let through?"""
    line = look.line
    if line.proxy is None:
        return finding(True, "none: the connection is direct")
    shown = line.proxy.with_user(None)
    remedy = "is it the right one (configure --proxy), with user and password, and does it allow CONNECT to the relay?"
    return finding(line.broken != "proxy", f"{shown}: {line.why if line.broken == 'proxy' else 'it answers'}", remedy)


def dns(look: Look) -> Check:
    """Is the name known, of the relay or of the proxy that asks for it?"""
    return _step(look.line, "dns", "is the name right, and does this machine's resolver know it? resolvectl query NAME")


def connection(look: Look) -> Check:
    """Does anything answer there?"""
    remedy = "is the relay up? does the firewall let this machine out to that port, or is a proxy needed?"
    return _step(look.line, "connection", remedy)


def tls(look: Look) -> Check:
    """Does the certificate lead to an authority that is trusted, and is it for this name?"""
    remedy = (
        "a private authority: configure --ca-file; a proxy that opens TLS: let the relay's name through unopened; "
        "an expired or wrong certificate: call the relay's operator"
    )
    return _step(look.line, "tls", remedy)


def certificate_expiry(look: Look) -> Check:
    """Will the relay's certificate hold?"""
    until = look.line.expires
    if until is None:
        return _without(look.line, "tls", "no certificate: the relay is on this machine")
    days = (until - time.time()) / _DAY_S
    return finding(days > 14, f"expires in {days:.0f} days", "ask the relay's operator to renew it")


def authority(look: Look) -> Check:
    """Who vouches for the relay?"""
    look.settings.tls.context()
    path = look.settings.ca_file
    return finding(True, "the authorities of this machine" if path is None else f"those in {path} alone")


def relay(look: Look) -> Check:
    """Is what answers a relay?"""
    return _step(look.line, "answer", "check the address; a proxy or a portal may stand in the relay's place")


def clock_of_the_relay(look: Look) -> Check:
    """Do the clocks agree? Signatures live for a minute."""
    ahead = look.line.ahead_s
    if ahead is None:
        return _without(look.line, "answer", "its answer had no date")
    detail = f"the relay's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
    return finding(abs(ahead) < WINDOW_S / 2, detail, "set this machine's clock; or call the operator")


def enrolled(look: Look) -> Check:
    """Does the relay take this site's signature?"""
    _require(look.line)
    try:
        facts, _ = asyncio.run(_asked(look, 1))
    except RelayError as error:
        return finding(False, str(error), "enroll; if the key was revoked, ask the operator why")
    return finding(True, f"it is taken; the relay's epoch is {str(facts.epoch)[:8]}")


def round_trip(look: Look) -> Check:
    """How long does a signed request take?"""
    _require(look.line)
    _, seconds = asyncio.run(_asked(look, _ROUND_TRIPS))
    return finding(min(seconds) < _SLOW_S, f"{min(seconds) * 1000:.0f} ms", "a slow way; what else uses the line?")


def relay_version(look: Look) -> Check:
    """Do site and relay speak the same language?"""
    _require(look.line)
    facts, _ = asyncio.run(_asked(look, 1))
    same = facts.version.split(".")[:1] == __version__.split(".")[:1]
    return finding(
        same, f"the relay has {facts.version}, this is {__version__}", "install a release of the same major version"
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


def _step(line: ConnectionHealth, step: str, remedy: str) -> Check:
    if line.broken == step:
        return finding(False, line.why, remedy)
    if step in line.steps:
        return finding(True, line.steps[step])
    return _without(line, step, "")


def _without(line: ConnectionHealth, step: str, otherwise: str) -> Check:
    """The finding of what could not be looked at, since the way broke before."""
    if line.broken and (step not in _STEPS or _STEPS.index(line.broken) <= _STEPS.index(step)):
        return finding(False, f"not reached: {line.broken} failed", f"mend {line.broken} first")
    return finding(True, otherwise)


def _require(line: ConnectionHealth) -> None:
    if line.broken:
        raise RelayUnavailableError(f"not reached: {line.broken} failed: {line.why}")
