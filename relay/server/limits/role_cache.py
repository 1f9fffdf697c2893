"""Who was let in lately: a site that writes to the same place again is not looked up before its body is read.

That first look decides no more than what a body may cost the relay. The deed looks again, in its own transaction, so a
right that ended a moment ago writes nothing, and a key that ended is known to every replica within two seconds.
"""

KEEP_S = 10.0
MOST = 1 << 16

Place = tuple[bytes, str, tuple[str, ...]]
"""Signer, route, and what the path names."""


class RoleCache:
    """Remembers the roles of signers by place, each for ten seconds."""

    def __init__(self) -> None:
        self._roles: dict[Place, tuple[str, float]] = {}  # the oldest first

    def remember(self, place: Place, role: str, now: float) -> None:
        """Note that a signer was let in at a place."""
        self._roles.pop(place, None)
        self._roles[place] = (role, now)
        if len(self._roles) > MOST:
            del self._roles[next(iter(self._roles))]

    def role(self, place: Place, now: float) -> str:
        """Return the role of a signer that was let in at a place lately; empty where none was."""
        role, at = self._roles.get(place, ("", now))
        return role if 0 <= now - at < KEEP_S else ""
