"""Join tokens: what they look like, and what the relay keeps of them.

A token has 256 random bits, so there is no list of likely tokens to try and nothing that a salt or a slow hash would
add to its SHA-256.
"""

import secrets
from hashlib import sha256

_PREFIX = "secagg-join-"  # lets people and secret scanners see what it is


def new_token() -> str:
    """Draw a token."""
    return _PREFIX + secrets.token_urlsafe(32)


def token_hash(text: str) -> bytes:
    """Return what the relay keeps of a token."""
    return sha256(text.encode()).digest()


def token_state(*, used: float | None, revoked: float | None, expires: float, now: float) -> str:
    """Say where a token stands: open, used, revoked or expired."""
    if used is not None:
        return "used"
    if revoked is not None:
        return "revoked"
    return "open" if now < expires else "expired"
