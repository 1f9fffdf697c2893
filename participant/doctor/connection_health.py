"""Probes the path to the relay step by step to find the first one that fails: proxy, name, connection, TLS, answer.

The daemon's own client would only report that it could not reach the relay. The probe signs nothing and never retries.
"""

import http.client
import socket
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from participant.settings.config import ParticipantConfig

TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True)
class ConnectionHealth:
    """The result of probing the path to a relay.

    Attributes:
        relay: address of the relay.
        proxy: proxy in front of the relay, None for a direct connection.
        steps: outcome of each completed step, in words: `proxy`, `dns`, `connection`, `tls`, `answer`.
        broken: step that failed, "" if none did.
        why: reason for the failure, in words.
        expires: expiry of the relay's certificate, seconds since 1970.
        ahead_s: lead of the relay's clock over this machine's, in seconds, as accurate as its answer's date (1 s).
    """

    relay: URL
    proxy: URL | None
    steps: dict[str, str]
    broken: str = ""
    why: str = ""
    expires: float | None = None
    ahead_s: float | None = None

    @classmethod
    def tried(cls, settings: ParticipantConfig) -> "ConnectionHealth":
        """Probe the path once."""
        relay, proxy = URL(settings.relay), proxy_of(settings)
        steps: dict[str, str] = {}
        found: dict[str, Any] = {"relay": relay, "proxy": proxy, "steps": steps}
        first = proxy or relay
        step = "dns"
        try:
            steps["dns"] = _resolved(first)
            step = "proxy" if proxy else "connection"
            raw = _connected(relay, proxy)
            steps[step] = f"{first.host} port {first.port} answers"
            if proxy:
                steps["connection"] = f"the proxy connects to {relay.host} port {relay.port}"
            step = "tls"
            line, found["expires"] = _secured(raw, relay, settings)
            steps["tls"] = "no TLS, because the relay is on this machine" if found["expires"] is None else "verified"
            step = "answer"
            steps["answer"], found["ahead_s"] = _answered(line, relay)
        except (OSError, http.client.HTTPException, ValueError) as error:
            found |= {"broken": step, "why": str(error) or type(error).__name__}
        return cls(**found)


def proxy_of(settings: ParticipantConfig) -> URL | None:
    """Return the proxy that the daemon would use: the one in the settings, else the environment's."""
    if settings.proxy is not None:
        return URL(settings.proxy)
    relay = URL(settings.relay)
    if proxy_bypass(relay.host or ""):
        return None
    named = getproxies().get(relay.scheme)
    return URL(named) if named else None


def _resolved(place: URL) -> str:
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    return f"{place.host} resolves to {', '.join(sorted({str(address[4][0]) for address in found}))}"


def _connected(relay: URL, proxy: URL | None) -> socket.socket:
    """Connect to the relay, using a proxy's CONNECT if there is one."""
    place = proxy or relay
    connection = http.client.HTTPConnection(str(place.host), place.port, timeout=TIMEOUT_S)
    if proxy is not None:
        headers = {}
        if proxy.user:
            secret = b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode("ascii")
            headers["Proxy-Authorization"] = f"Basic {secret}"
        connection.set_tunnel(str(relay.host), relay.port, headers)
    connection.connect()
    return connection.sock


def _secured(raw: socket.socket, relay: URL, settings: ParticipantConfig) -> tuple[socket.socket, float | None]:
    if relay.scheme == "http":
        return raw, None
    line = settings.tls.context().wrap_socket(raw, server_hostname=relay.host)
    until = (line.getpeercert() or {}).get("notAfter")
    return line, float(ssl.cert_time_to_seconds(str(until)))


def _answered(line: socket.socket, relay: URL) -> tuple[str, float | None]:
    """Ask over the open connection whether the relay is alive."""
    connection = http.client.HTTPConnection(str(relay.host), relay.port, timeout=TIMEOUT_S)
    connection.sock = line
    try:
        before = time.time()
        connection.request("GET", "/livez", headers={"Connection": "close"})
        answer = connection.getresponse()
        text = answer.read(1000)
        date = answer.getheader("Date")
        ahead = parsedate_to_datetime(date).timestamp() + 0.5 - (before + time.time()) / 2 if date else None
        if answer.status != 200 or b'"alive"' not in text:
            raise ValueError(f"the response (status {answer.status}) did not come from a relay")
        return f"alive, after {(time.time() - before) * 1000:.0f} ms", ahead
    finally:
        connection.close()
