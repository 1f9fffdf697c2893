"""The sites as an operator watches over them: releases, clocks, and who is silent."""

from dataclasses import dataclass

from sqlalchemy import Connection

from relay.server.store import sites

SUPPORTED_MINORS = 2
"""Releases up to this many minor versions behind the relay's work with it."""


@dataclass(frozen=True, slots=True)
class FleetSite:
    """An enrolled site, as its last request showed it."""

    name: str
    role: str
    release: str | None
    is_outdated: bool
    clock_offset_s: float | None
    last_seen: float | None
    silent_since: float | None


def fleet(db: Connection, *, own_release: str) -> list[FleetSite]:
    """Return all sites whose keys are valid, sorted by name."""
    return [
        FleetSite(
            row.name,
            row.role,
            row.release,
            row.release is not None and is_outdated(row.release, own_release),
            None if row.clock_offset_s is None else round(row.clock_offset_s, 1),
            row.last_seen,
            row.silent_since,
        )
        for row in sites.all_sites(db)
        if row.ended is None
    ]


def is_outdated(release: str, own: str) -> bool:
    """Return whether a release is too far behind the relay's own to work with it."""
    (major, minor), (own_major, own_minor) = _parts(release), _parts(own)
    return major < own_major or (major == own_major and own_minor - minor > SUPPORTED_MINORS)


def _parts(release: str) -> tuple[int, int]:
    major, minor = release.split(".")[:2]
    digits = minor[: len(minor) - len(minor.lstrip("0123456789"))]
    return int(major), int(digits)
