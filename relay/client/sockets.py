"""Sockets that notice when the peer or the network is gone.

A long poll waits half a minute on a silent connection. If the network fails meanwhile, nothing reports it, and the
client would keep waiting long after the network is back. The kernel's keep-alive probes end such a connection within
seconds, and the request is retried.
"""

import socket
from typing import Any

IDLE_S, EVERY_S, PROBES = 3, 1, 3
"""A connection that is silent for 3 s is probed every second; three unanswered probes end it."""

_OPTIONS = (("TCP_KEEPIDLE", IDLE_S), ("TCP_KEEPALIVE", IDLE_S), ("TCP_KEEPINTVL", EVERY_S), ("TCP_KEEPCNT", PROBES))


def lively_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return an unconnected socket for an address as returned by `getaddrinfo`."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):  # the idle time has the first name on Linux, the second on macOS
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
