"""Join tokens: their format, and the hash that the relay stores.

A token has 256 random bits: it cannot be guessed from a list, so a salt or a slow hash would add nothing to its
SHA-256.
"""

import secrets
from hashlib import sha256

_PREFIX = "secagg-join-"  # recognisable for people and secret scanners


def new_token() -> str:
    """Generate a token."""
    return _PREFIX + secrets.token_urlsafe(32)


def token_hash(text: str) -> bytes:
    """Return the hash that the relay stores in place of a token."""
    return sha256(text.encode()).digest()


def token_state(*, used: float | None, revoked: float | None, expires: float, now: float) -> str:
    """Return a token's state: open, used, revoked or expired."""
    if used is not None:
        return "used"
    if revoked is not None:
        return "revoked"
    return "open" if now < expires else "expired"
