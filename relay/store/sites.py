"""Enrolled sites."""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from relay import schema
from relay.store.database import Row
from relay.transitions import ACTIVE_MEMBER

_site, _member, _project = schema.site, schema.member, schema.project

_FIND = select(_site).where(_site.c.key == bindparam("the_key"))
_FIND_NAME = select(_site.c.key).where(_site.c.name == bindparam("the_name"))
_ALL = select(_site).order_by(_site.c.name)
_ADD = insert(_site)
_SEEN = update(_site).where(
    _site.c.key == bindparam("the_key"), func.coalesce(_site.c.last_seen, 0) < bindparam("last_seen")
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


def find(db: Connection, key: bytes) -> Row | None:
    """Return the site with this key."""
    return db.execute(_FIND, {"the_key": key}).first()


def name_is_taken(db: Connection, name: str) -> bool:
    """Tell whether a site has this name."""
    return db.execute(_FIND_NAME, {"the_name": name}).first() is not None


def add(db: Connection, *, key: bytes, name: str, role: str, now: float) -> None:
    """Enrol a site."""
    db.execute(_ADD, {"key": key, "name": name, "role": role, "enrolled": now})


def all_sites(db: Connection) -> list[Row]:
    """Return every site, by name."""
    return list(db.execute(_ALL))


def around(db: Connection, key: bytes) -> list[Row]:
    """Return a site and those that share a project with it, by name."""
    return list(db.execute(_AROUND, {"the_key": key}))


def seen(db: Connection, times: Mapping[bytes, float]) -> None:
    """Note when sites were last seen; always in the same order, so that no two replicas wait for each other."""
    db.execute(_SEEN, [{"the_key": key, "last_seen": at} for key, at in sorted(times.items())])
