"""Join tokens: their format, and the hash that the relay stores.

A token has 256 random bits: it cannot be guessed from a list, so a salt or a slow hash would add nothing to its
SHA-256.
"""

import re
import secrets
from hashlib import sha256

from secagg.errors import ParameterError

_PREFIX = "secagg-join-"  # recognisable for people and secret scanners
_FORM = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}")  # 32 bytes in base64url
_LENGTH = len(_PREFIX) + 43


def new_token() -> str:
    """Generate a token."""
    return _PREFIX + secrets.token_urlsafe(32)


def check_form(text: str) -> None:
    """Check that a text could be a token, before anybody is asked about it.

    Raises:
        ParameterError: it is not; the message does not repeat it.
    """
    if not _FORM.fullmatch(text):
        raise ParameterError(
            f"this is no join token: one begins with {_PREFIX} and has {_LENGTH} characters; "
            "copy the whole line from the relay's operator"
        )


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
