"""Sites: enrolling, listing, being there. Spec: 04-relay-api §2."""

from aiohttp import web
from sqlalchemy import Connection

from relay.access import Access
from relay.body import Json
from relay.call import Answer, Call
from relay.problem import BAD_TOKEN, CONFLICT, FORBIDDEN, Problem
from relay.route import Route
from relay.store import audit, tokens
from relay.store import sites as store
from relay.store.database import Row
from relay.transitions import Role
from relay.wire import Enrolment, Site, Sites


def enrol(call: Call, db: Connection) -> Answer:
    """Enrol the site that signs, and use its token up."""
    wanted: Enrolment = call.body
    if wanted.key != call.signer:
        raise Problem(FORBIDDEN, "the request must be signed by the key that it enrols")
    token = _valid_token(db, wanted, call.now)
    known = store.find(db, call.signer)
    if known is not None:
        if token.used_by != call.signer:
            raise Problem(CONFLICT, "this key is already enrolled; a key enrols once")
        return Answer(200, _site(known))
    if store.name_is_taken(db, wanted.name):
        raise Problem(CONFLICT, "another site has this name; people tell sites apart by their names")
    store.add(db, key=call.signer, name=wanted.name, role=token.role, now=call.now)
    tokens.use(db, token.id, key=call.signer, now=call.now)
    audit.append(
        db, actor=call.actor, action="site.enrolled", on=f"site/{call.actor}", name=wanted.name, token=token.id
    )
    return Answer(201, Site(key=call.signer, name=wanted.name, role=Role(token.role)))


def _valid_token(db: Connection, wanted: Enrolment, now: float) -> Row:
    token = tokens.find(db, wanted.token)
    repeated = token is not None and token.used_by == wanted.key
    if token is None or not (repeated or (token.used is None and token.revoked is None and now < token.expires)):
        raise Problem(
            BAD_TOKEN, "this join token is unknown, used, expired or revoked; ask the operator for another one"
        )
    return token


def list_sites(call: Call, db: Connection) -> Answer:
    """Return all sites to a coordinator, and to a site those that it shares a project with."""
    rows = store.all_sites(db) if call.role == Role.COORDINATOR else store.around(db, call.signer)
    return Answer(200, Sites(sites=[_site(row) for row in rows]))


async def heartbeat(call: Call, request: web.Request) -> Answer:
    """Do nothing: that the site signed a request was noted already."""
    del call, request
    return Answer(204)


def _site(row: Row) -> Site:
    return Site(key=row.key, name=row.name, role=Role(row.role), last_seen=row.last_seen)


ROUTES = (
    Route(
        name="enrol",
        method="POST",
        path="/v1/sites",
        summary="Enrol a site with a join token",
        access=Access.ENROLLING,
        body=Json(Enrolment),
        answers={201: Site, 200: Site},
        refusals=(BAD_TOKEN, FORBIDDEN, CONFLICT),
        writes=enrol,
    ),
    Route(
        name="sites",
        method="GET",
        path="/v1/sites",
        summary="All sites for a coordinator; for a site, itself and those that share a project with it",
        access=Access.SITE,
        answers={200: Sites},
        reads=list_sites,
    ),
    Route(
        name="heartbeat",
        method="POST",
        path="/v1/heartbeat",
        summary="Say that the site is there",
        access=Access.SITE,
        answers={204: None},
        streams=heartbeat,
    ),
)
