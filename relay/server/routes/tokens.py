"""Join tokens over the interface, for operators. Spec: 04-relay-api §2.

An operator generates the token and sends its hash: no response, log or stored write ever holds an unused token.
"""

from sqlalchemy import Connection

from relay.api.states import Role
from relay.api.tokens import token_state
from relay.api.wire import JoinToken, JoinTokens, NewToken, TokenRotation
from relay.server.core.problem import CONFLICT, FORBIDDEN, NOT_FOUND, Problem
from relay.server.http.access import Access, not_found
from relay.server.http.body import Json
from relay.server.http.context import AnyCall, Call, RouteAnswer
from relay.server.http.route import Route
from relay.server.registry import join_tokens
from relay.server.store import audit
from relay.server.store import tokens as store
from relay.server.store.rows import ListedToken


def list_tokens(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return all tokens, without their secrets."""
    return RouteAnswer(200, JoinTokens(tokens=[_token(row, call.now) for row in store.all_tokens(db)]))


def create(call: Call[None, NewToken], db: Connection) -> RouteAnswer:
    """Register a token by its hash."""
    wanted = call.body
    if wanted.role == Role.OPERATOR:
        raise Problem(FORBIDDEN, "create operator tokens on the relay's machine: secagg-relay token create")
    found = store.find(db, wanted.hash)
    if found is not None:
        if (found.role, found.label) != (wanted.role, wanted.label):
            raise Problem(CONFLICT, "this token already exists with another role or label; generate a new one")
        return RouteAnswer(200, _listed(db, found.id, call.now))
    number = join_tokens.register(
        db,
        wanted.hash,
        role=wanted.role,
        label=wanted.label,
        actor=call.actor,
        now=call.now,
        expires=call.now + wanted.ttl_s,
    )
    return RouteAnswer(201, _listed(db, number, call.now))


def rotate(call: Call[None, TokenRotation], db: Connection) -> RouteAnswer:
    """Revoke an unused token and register a replacement with the same role and label."""
    wanted = call.body
    number = _number(call)
    row = store.numbered(db, number)
    if row is None:
        raise not_found("token")
    if row.role == Role.OPERATOR:
        raise Problem(FORBIDDEN, "create operator tokens on the relay's machine: secagg-relay token create")
    if store.find(db, wanted.hash) is not None:
        raise Problem(CONFLICT, "this token already exists; generate a new one")
    if not store.revoke(db, number, now=call.now):
        raise Problem(CONFLICT, "this token is used or revoked and cannot be replaced")
    expires = call.now + wanted.ttl_s
    made = store.add(db, hash_=wanted.hash, role=row.role, label=row.label, now=call.now, expires=expires)
    audit.append(db, actor=call.actor, action="token.rotated", on=f"token/{number}", successor=made)
    return RouteAnswer(201, _listed(db, made, call.now))


def revoke(call: AnyCall, db: Connection) -> RouteAnswer:
    """Revoke an unused token."""
    number = _number(call)
    row = store.numbered(db, number)
    if row is None:
        raise not_found("token")
    if row.used is not None:
        raise Problem(CONFLICT, "this token has been used; revoke the site that used it", state="used")
    join_tokens.revoke(db, number, actor=call.actor, now=call.now)
    return RouteAnswer(200, _listed(db, number, call.now))


def _number(call: AnyCall) -> int:
    text = call.path["token"]
    if not (text.isascii() and text.isdigit() and len(text) < 19 and text == str(int(text))):
        raise not_found("token")
    return int(text)


def _listed(db: Connection, number: int, now: float) -> JoinToken:
    return next(_token(row, now) for row in store.all_tokens(db) if row.id == number)


def _token(row: ListedToken, now: float) -> JoinToken:
    return JoinToken(
        id=row.id,
        role=Role(row.role),
        label=row.label,
        state=token_state(used=row.used, revoked=row.revoked, expires=row.expires, now=now),
        created=row.created,
        expires=row.expires,
        used_by=row.used_by_name,
    )


ROUTES = (
    Route(
        name="tokens",
        method="GET",
        path="/v1/tokens",
        summary="All join tokens, without their secrets",
        access=Access.OPERATOR,
        answers={200: JoinTokens},
        reads=list_tokens,
    ),
    Route(
        name="create_token",
        method="POST",
        path="/v1/tokens",
        summary="Register a join token by its hash",
        access=Access.OPERATOR,
        body=Json(NewToken),
        answers={201: JoinToken, 200: JoinToken},
        refusals=(FORBIDDEN, CONFLICT),
        writes=create,
    ),
    Route(
        name="rotate_token",
        method="POST",
        path="/v1/tokens/{token}/rotation",
        summary="Revoke a join token and register a replacement",
        access=Access.OPERATOR,
        body=Json(TokenRotation),
        answers={201: JoinToken},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=rotate,
    ),
    Route(
        name="revoke_token",
        method="DELETE",
        path="/v1/tokens/{token}",
        summary="Revoke an unused join token",
        access=Access.OPERATOR,
        answers={200: JoinToken},
        refusals=(NOT_FOUND, CONFLICT),
        writes=revoke,
    ),
)
