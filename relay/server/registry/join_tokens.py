"""The beginning and end of join tokens, for commands and routes; each step is recorded in the audit log."""

from sqlalchemy import Connection

from relay.api.states import Role
from relay.api.tokens import new_token, token_hash
from relay.server.store import audit, tokens
from secagg.errors import ParameterError


def create(db: Connection, *, role: Role, label: str, now: float, expires: float) -> tuple[int, str]:
    """Create a join token and record it in the audit log; returns its number and its text, which is not stored."""
    if not 1 <= len(label) <= 100 or not label.isprintable():
        raise ParameterError("a label must have 1 to 100 printable characters")
    text = new_token()
    hash_ = token_hash(text)
    return register(db, hash_, role=role, label=label, actor=audit.OPERATOR, now=now, expires=expires), text


def register(db: Connection, hash_: bytes, *, role: Role, label: str, actor: str, now: float, expires: float) -> int:
    """Record a join token by its hash; returns its number."""
    number = tokens.add(db, hash_=hash_, role=role, label=label, now=now, expires=expires)
    audit.append(db, actor=actor, action="token.created", on=f"token/{number}", role=role, label=label)
    return number


def revoke_open(db: Connection, number: int, *, now: float) -> None:
    """Revoke a join token as the operator; raises ParameterError if it does not exist or is no longer open."""
    if not revoke(db, number, actor=audit.OPERATOR, now=now):
        raise ParameterError(f"token {number} does not exist or is no longer open; see: secagg-relay token list")


def revoke(db: Connection, number: int, *, actor: str, now: float) -> bool:
    """Revoke a join token; returns whether it was open."""
    revoked = tokens.revoke(db, number, now=now)
    if revoked:
        audit.append(db, actor=actor, action="token.revoked", on=f"token/{number}")
    return revoked
