"""Join tokens: created by the operator, used once by the enrolling site.

Only a token's SHA-256 is stored (`relay.api.tokens`).
"""

from sqlalchemy import Connection, bindparam, insert, select, update

from relay.server.store import schema
from relay.server.store.rows import ListedToken, TokenRow, every, first

_token, _site = schema.token, schema.site
_this = _token.c.id == bindparam("the_id")

_ADD = insert(_token).returning(_token.c.id)
_NUMBERED = select(_token).where(_this)
_FIND = select(_token).where(_token.c.hash == bindparam("the_hash"))
_USE = update(_token).where(_this)
_REVOKE = update(_token).where(_this, _token.c.used.is_(None), _token.c.revoked.is_(None))
_ALL = (
    select(_token, _site.c.name.label("used_by_name"))
    .outerjoin(_site, _site.c.key == _token.c.used_by)
    .order_by(_token.c.id)
)


def add(db: Connection, *, hash_: bytes, role: str, label: str, now: float, expires: float) -> int:
    """Register a token by its hash and return its number."""
    values = {"hash": hash_, "role": role, "label": label, "created": now, "expires": expires}
    number: int = db.execute(_ADD, values).scalar_one()
    return number


def find(db: Connection, hash_: bytes) -> TokenRow | None:
    """Return the token with this hash, whatever its state."""
    return first(TokenRow, db.execute(_FIND, {"the_hash": hash_}))


def numbered(db: Connection, number: int) -> TokenRow | None:
    """Return the token with this number, whatever its state."""
    return first(TokenRow, db.execute(_NUMBERED, {"the_id": number}))


def use(db: Connection, number: int, *, key: bytes, now: float) -> None:
    """Mark a token as used."""
    db.execute(_USE, {"the_id": number, "used_by": key, "used": now})


def revoke(db: Connection, number: int, *, now: float) -> bool:
    """Revoke an open token; returns False if there is none with this number."""
    return db.execute(_REVOKE, {"the_id": number, "revoked": now}).rowcount == 1


def all_tokens(db: Connection) -> list[ListedToken]:
    """Return every token, sorted by number, with the name of the site that used it."""
    return every(ListedToken, db.execute(_ALL))
