"""Join tokens: made by the operator, used once by the site that enrols.

Only a token's SHA-256 is stored. It has 256 random bits, so there is no list of likely tokens to try and nothing that a
salt or a slow hash would add.
"""

import secrets
from hashlib import sha256

from sqlalchemy import Connection, bindparam, insert, select, update

from relay import schema
from relay.store.database import Row

_PREFIX = "secagg-join-"  # lets people and secret scanners see what it is

_token, _site = schema.token, schema.site
_this = _token.c.id == bindparam("the_id")

_ADD = insert(_token).returning(_token.c.id)
_FIND = select(_token).where(_token.c.hash == bindparam("the_hash"))
_USE = update(_token).where(_this)
_REVOKE = update(_token).where(_this, _token.c.used.is_(None), _token.c.revoked.is_(None))
_ALL = (
    select(_token, _site.c.name.label("used_by_name"))
    .outerjoin(_site, _site.c.key == _token.c.used_by)
    .order_by(_token.c.id)
)


def create(db: Connection, *, role: str, label: str, now: float, expires: float) -> tuple[int, str]:
    """Make a token and return its number and its text, which is nowhere else."""
    text = _PREFIX + secrets.token_urlsafe(32)
    values = {"hash": _hash(text), "role": role, "label": label, "created": now, "expires": expires}
    return db.execute(_ADD, values).scalar_one(), text


def find(db: Connection, text: str) -> Row | None:
    """Return the token with this text, whatever its state."""
    return db.execute(_FIND, {"the_hash": _hash(text)}).first()


def use(db: Connection, number: int, *, key: bytes, now: float) -> None:
    """Use a token up."""
    db.execute(_USE, {"the_id": number, "used_by": key, "used": now})


def revoke(db: Connection, number: int, *, now: float) -> bool:
    """Revoke a token that is neither used nor revoked; False if there is none with this number."""
    return db.execute(_REVOKE, {"the_id": number, "revoked": now}).rowcount == 1


def all_tokens(db: Connection) -> list[Row]:
    """Return every token, by number, with the name of the site that used it."""
    return list(db.execute(_ALL))


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()
