"""Recently admitted signers: a site that writes to the same place again is not looked up before its body is read.

This first lookup only limits the cost of a body to the relay. The transaction checks authorisation again, so a right
that has just ended permits no write, and every replica learns of an ended key within two seconds.
"""

KEEP_S = 10.0
MOST = 1 << 16

CacheKey = tuple[bytes, str, tuple[str, ...]]
"""Signer, route, and the objects named in the path: the place that the signer writes to."""


class RoleCache:
    """Remembers the roles of signers by place, each for ten seconds."""

    def __init__(self) -> None:
        self._roles: dict[CacheKey, tuple[str, float]] = {}  # oldest first

    def remember(self, key: CacheKey, role: str, now: float) -> None:
        """Record that a signer was admitted at a place."""
        self._roles.pop(key, None)
        self._roles[key] = (role, now)
        if len(self._roles) > MOST:
            del self._roles[next(iter(self._roles))]

    def role(self, key: CacheKey, now: float) -> str:
        """Return the role of a signer recently admitted at a place; empty if there was none."""
        role, at = self._roles.get(key, ("", now))
        return role if 0 <= now - at < KEEP_S else ""
