"""Sockets that notice when the other end, or the cable, is gone.

A long poll waits for half a minute on a silent connection. If the network fails meanwhile, nothing tells: the
connection would be waited for, long after the network is back. Keep-alive probes of the kernel end it after a few
seconds, and the request is tried anew.
"""

import socket
from typing import Any

IDLE_S, EVERY_S, PROBES = 3, 1, 3
"""A connection that is silent for 3 s is asked once a second; three questions without an answer end it."""

_OPTIONS = (("TCP_KEEPIDLE", IDLE_S), ("TCP_KEEPALIVE", IDLE_S), ("TCP_KEEPINTVL", EVERY_S), ("TCP_KEEPCNT", PROBES))


def lively_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return an unconnected socket for an address as `getaddrinfo` gives it."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):  # Linux has the first of the two names for the idle time, macOS the second
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
