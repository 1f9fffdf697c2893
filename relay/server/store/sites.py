"""Enrolled sites."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from relay.api.states import ACTIVE_MEMBER
from relay.server.store import schema
from relay.server.store.rows import SiteName, SiteRow, every, first

_site, _member, _project = schema.site, schema.member, schema.project

_FIND = select(_site).where(_site.c.key == bindparam("the_key"))
_FIND_NAME = select(_site.c.key).where(_site.c.name == bindparam("the_name"))
_ALL = select(_site).order_by(_site.c.name)
_ADD = insert(_site)
_CHANGE = update(_site).where(_site.c.key == bindparam("the_key"))
_ENDED = select(_site.c.key).where(_site.c.ended.is_not(None))
_last = func.coalesce(_site.c.last_seen, _site.c.enrolled)
_fell_silent = (_site.c.ended.is_(None), _site.c.silent_since.is_(None), _last < bindparam("then"))
_came_back = (_site.c.silent_since.is_not(None), _last > _site.c.silent_since)
_MOVED = select(_site.c.key).where(or_(and_(*_fell_silent), and_(*_came_back))).limit(1)
_SILENCE = update(_site).where(*_fell_silent).values(silent_since=_last).returning(_site.c.key, _site.c.name)
_RETURN = update(_site).where(*_came_back).values(silent_since=None).returning(_site.c.key, _site.c.name)
_SEEN = (
    update(_site)
    .where(_site.c.key == bindparam("the_key"), func.coalesce(_site.c.last_seen, 0) < bindparam("the_time"))
    .values(
        last_seen=bindparam("the_time"),
        release=func.coalesce(bindparam("the_release"), _site.c.release),
        clock_offset_s=bindparam("the_offset"),
    )
)

_active = _member.c.state.in_(ACTIVE_MEMBER)
_my_projects = (
    select(_member.c.project)
    .where(_member.c.site == bindparam("the_key"), _active)
    .union(select(_project.c.id).where(_project.c.coordinator == bindparam("the_key")))
)
_AROUND = (
    select(_site)
    .where(
        or_(
            _site.c.key == bindparam("the_key"),
            _site.c.key.in_(select(_member.c.site).where(_member.c.project.in_(_my_projects), _active)),
            _site.c.key.in_(select(_project.c.coordinator).where(_project.c.id.in_(_my_projects))),
        )
    )
    .order_by(_site.c.name)
)


@dataclass(frozen=True, slots=True)
class LastRequest:
    """The last request of a site.

    Attributes:
        at: when it arrived, in seconds since 1970.
        release: the site's release as it says itself, or None; no signature covers it.
        clock_offset_s: seconds by which the signature's time was ahead of this relay's clock; includes the way here.
    """

    at: float
    release: str | None
    clock_offset_s: float


def find(db: Connection, key: bytes) -> SiteRow | None:
    """Return the site with this key."""
    return first(SiteRow, db.execute(_FIND, {"the_key": key}))


def name_is_taken(db: Connection, name: str) -> bool:
    """Return whether a site has this name."""
    return db.execute(_FIND_NAME, {"the_name": name}).first() is not None


def add(
    db: Connection,
    *,
    key: bytes,
    name: str,
    role: str,
    now: float,
    labels: str = "{}",
    predecessor: bytes | None = None,
) -> None:
    """Enrol a site."""
    values = {"key": key, "name": name, "role": role, "enrolled": now, "labels": labels, "predecessor": predecessor}
    db.execute(_ADD, values)


def label(db: Connection, key: bytes, labels: str) -> None:
    """Replace a site's labels, given as JSON."""
    db.execute(_CHANGE, {"the_key": key, "labels": labels})


def end(db: Connection, key: bytes, *, name: str, ending: str, now: float) -> None:
    """Invalidate a key permanently and rename its site, which frees the old name."""
    values = {"name": name, "ending": ending, "ended": now, "silent_since": None}
    db.execute(_CHANGE, {"the_key": key} | values)


def ended(db: Connection) -> set[bytes]:
    """Return the keys that are no longer valid."""
    return set(db.scalars(_ENDED))


def needs_sweep(db: Connection, *, then: float) -> bool:
    """Return whether `sweep` would change anything."""
    return db.execute(_MOVED, {"then": then}).first() is not None


def sweep(db: Connection, *, then: float) -> tuple[list[SiteName], list[SiteName]]:
    """Record which sites were not seen since `then` and which returned; returns their keys and names."""
    return every(SiteName, db.execute(_SILENCE, {"then": then})), every(SiteName, db.execute(_RETURN))


def all_sites(db: Connection) -> list[SiteRow]:
    """Return every site, sorted by name."""
    return every(SiteRow, db.execute(_ALL))


def around(db: Connection, key: bytes) -> list[SiteRow]:
    """Return a site and those that share a project with it, sorted by name."""
    return every(SiteRow, db.execute(_AROUND, {"the_key": key}))


def seen(db: Connection, sightings: Mapping[bytes, LastRequest]) -> None:
    """Record the sites' last requests, always in the same order, so that replicas do not wait for each other."""
    rows = [
        {"the_key": key, "the_time": last.at, "the_release": last.release, "the_offset": last.clock_offset_s}
        for key, last in sorted(sightings.items())
    ]
    db.execute(_SEEN, rows)
