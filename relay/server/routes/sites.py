"""Sites: enrolment, listing, heartbeats, key rotation and removal. Spec: 04-relay-api §2."""

import json

from aiohttp import web
from sqlalchemy import Connection

from relay.api.states import TAKES_PART, Ending, Liveness, Role
from relay.api.tokens import token_hash
from relay.api.wire import KEY_ROTATION, Enrolment, NewLabels, Revocation, Site, Sites, Succession, to_base64url
from relay.server.core.problem import BAD_REQUEST, BAD_TOKEN, CONFLICT, FORBIDDEN, NOT_FOUND, Problem
from relay.server.http.access import Access, not_found, path_key
from relay.server.http.body import Json
from relay.server.http.context import AnyCall, Call, RouteAnswer
from relay.server.http.route import Route
from relay.server.registry import endings
from relay.server.store import audit, tokens
from relay.server.store import sites as store
from relay.server.store.rows import SiteRow, TokenRow
from relay.server.store.schema import LABELS_CHARS
from secagg.identity import InvalidSignatureError, verify


def enrol(call: Call[None, Enrolment], db: Connection) -> RouteAnswer:
    """Enrol the signing site and use up its token."""
    wanted = call.body
    if wanted.key != call.signer:
        raise Problem(FORBIDDEN, "the request must be signed by the key that it enrols")
    token = _valid_token(db, wanted, call.now)
    known = store.find(db, call.signer)
    if known is not None:
        if token.used_by != call.signer or known.ended is not None:
            raise Problem(CONFLICT, "this key is already enrolled")
        return RouteAnswer(200, _site(known))
    if store.name_is_taken(db, wanted.name):
        raise Problem(CONFLICT, "another site has this name; choose a different one")
    store.add(db, key=call.signer, name=wanted.name, role=token.role, now=call.now)
    tokens.use(db, token.id, key=call.signer, now=call.now)
    audit.append(
        db, actor=call.actor, action="site.enrolled", on=f"site/{call.actor}", name=wanted.name, token=token.id
    )
    return RouteAnswer(201, _site(store.find(db, call.signer)))


def _valid_token(db: Connection, wanted: Enrolment, now: float) -> TokenRow:
    token = tokens.find(db, token_hash(wanted.token))
    repeated = token is not None and token.used_by == wanted.key
    if token is None or not (repeated or (token.used is None and token.revoked is None and now < token.expires)):
        raise Problem(
            BAD_TOKEN, "this join token is unknown, used, expired or revoked; ask the relay's operator for a new one"
        )
    return token


def list_sites(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return all sites to coordinators and operators; to a site, those that share a project with it."""
    if call.role == Role.OPERATOR:
        rows = store.all_sites(db)
    elif call.role == Role.COORDINATOR:
        rows = [row for row in store.all_sites(db) if row.role in TAKES_PART and row.ended is None]
    else:
        rows = store.around(db, call.signer)
    return RouteAnswer(200, Sites(sites=[_site(row) for row in rows]))


async def heartbeat(call: AnyCall, request: web.Request) -> RouteAnswer:
    """Do nothing: the signed request itself has already been recorded."""
    del call, request
    return RouteAnswer(204)


def label(call: Call[None, NewLabels], db: Connection) -> RouteAnswer:
    """Replace a site's labels."""
    wanted = call.body
    row = _named(call, db)
    labels = json.dumps(wanted.labels, sort_keys=True, ensure_ascii=False)
    if len(labels) > LABELS_CHARS:
        raise Problem(BAD_REQUEST, f"the labels take {len(labels)} characters as JSON; the limit is {LABELS_CHARS}")
    if labels != row.labels:
        store.label(db, row.key, labels)
        audit.append(db, actor=call.actor, action="site.labelled", on=f"site/{to_base64url(row.key)}")
    return RouteAnswer(200, _site(store.find(db, row.key)))


def deregister(call: AnyCall, db: Connection) -> RouteAnswer:
    """End a site at its own or the operator's request."""
    return _end(call, db, Ending.DEREGISTERED, "")


def revoke(call: Call[None, Revocation], db: Connection) -> RouteAnswer:
    """End a site whose key is no longer trusted."""
    wanted = call.body
    return _end(call, db, Ending.REVOKED, wanted.reason)


def _end(call: AnyCall, db: Connection, ending: Ending, reason: str) -> RouteAnswer:
    row = _named(call, db, ended=True)
    if row.ended is None:
        call.woken.update(endings.end(db, row, ending, actor=call.actor, reason=reason, now=call.now))
    return RouteAnswer(200, _site(store.find(db, row.key)))


def succeed(call: Call[None, Succession], db: Connection) -> RouteAnswer:
    """Let the signing key replace the key in the path, which signed its consent."""
    wanted = call.body
    old, known = store.find(db, path_key(call)), store.find(db, call.signer)
    try:
        verify(path_key(call), KEY_ROTATION, call.signer, wanted.handover)
    except InvalidSignatureError:
        raise Problem(
            FORBIDDEN, "the handover is not signed by the old key for the key that signs this request"
        ) from None
    if old is None:
        raise not_found("site")
    if old.role == Role.OPERATOR:
        raise Problem(FORBIDDEN, "an operator's key cannot be rotated; create another operator on the relay's machine")
    if known is not None:
        if known.predecessor != old.key or known.ended is not None:
            raise Problem(CONFLICT, "the new key is already enrolled")
        return RouteAnswer(200, _site(known))
    if old.ended is not None:
        raise Problem(CONFLICT, f"the old key was {old.ending} and cannot be replaced", state=old.ending)
    call.woken.update(endings.succeed(db, old, call.signer, now=call.now))
    return RouteAnswer(201, _site(store.find(db, call.signer)))


def _named(call: AnyCall, db: Connection, *, ended: bool = False) -> SiteRow:
    row = store.find(db, path_key(call))
    if row is None or (row.ended is not None and not ended):
        raise not_found("site")
    return row


def _site(row: SiteRow | None) -> Site:
    assert row is not None
    silent = row.silent_since is not None
    return Site(
        key=row.key,
        name=row.name,
        role=Role(row.role),
        last_seen=row.last_seen,
        status=Liveness.ENDED if row.ended is not None else Liveness.SILENT if silent else Liveness.CONNECTED,
        silent_since=row.silent_since,
        labels=json.loads(row.labels),
        ending=None if row.ending is None else Ending(row.ending),
        predecessor=row.predecessor,
    )


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
        summary="All sites for coordinators and operators; for a site, itself and those that share a project with it",
        access=Access.SITE_OR_OPERATOR,
        answers={200: Sites},
        reads=list_sites,
    ),
    Route(
        name="label_site",
        method="PUT",
        path="/v1/sites/{key}/labels",
        summary="Replace a site's labels",
        access=Access.SITE_OWNER,
        body=Json(NewLabels),
        answers={200: Site},
        refusals=(NOT_FOUND,),
        writes=label,
    ),
    Route(
        name="deregister",
        method="DELETE",
        path="/v1/sites/{key}",
        summary="End a site: its key, its memberships, the projects that it leads",
        access=Access.SITE_OWNER,
        answers={200: Site},
        refusals=(NOT_FOUND,),
        writes=deregister,
    ),
    Route(
        name="revoke_site",
        method="POST",
        path="/v1/sites/{key}/revocation",
        summary="End a site whose key is no longer trusted",
        access=Access.OPERATOR,
        body=Json(Revocation),
        answers={200: Site},
        refusals=(NOT_FOUND,),
        writes=revoke,
    ),
    Route(
        name="succeed_site",
        method="POST",
        path="/v1/sites/{key}/successor",
        summary="Replace an older key with the signing key",
        access=Access.ENROLLING,
        body=Json(Succession),
        answers={201: Site, 200: Site},
        refusals=(FORBIDDEN, NOT_FOUND, CONFLICT),
        writes=succeed,
    ),
    Route(
        name="heartbeat",
        method="POST",
        path="/v1/heartbeat",
        summary="Report that the site is alive",
        access=Access.ENROLLED,
        answers={204: None},
        streams=heartbeat,
    ),
)
