"""The fleet: whose release is too old, and what a request shows of its site."""

import asyncio
import time
from pathlib import Path

import pytest

from relay.server.core.config import RelayConfig
from relay.server.process.last_seen import LastSeen
from relay.server.store import migrate, sites
from relay.server.store.fleet import fleet, is_outdated
from relay.server.store.offline import on_database

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("release", "own", "outdated"),
    [
        ("0.1.0", "0.1.0", False),
        ("0.1.0", "0.3.7", False),
        ("0.1.9", "0.4.0", True),
        ("0.9.0", "1.0.0", True),
        ("1.0.0", "0.9.0", False),
        ("0.5.0", "0.4.0", False),
        ("0.1rc1", "0.4.0", True),
    ],
)
def test_releases_up_to_two_minor_versions_behind_are_supported(release: str, own: str, outdated: bool) -> None:
    assert is_outdated(release, own) is outdated


def test_a_request_shows_release_and_clock(tmp_path: Path) -> None:
    settings = RelayConfig(data=tmp_path / "data")
    asyncio.run(migrate.prepare(settings))
    seen = LastSeen()
    on_database(settings, lambda db: sites.add(db, key=KEY, name="north", role="site", now=1.0))

    def shown() -> tuple[str | None, float | None]:
        taken = seen.take()
        on_database(settings, lambda db: sites.seen(db, taken))
        (site,) = on_database(settings, lambda db: fleet(db, own_release="9.0.0"))
        assert site.is_outdated is (site.release is not None)
        return site.release, site.clock_offset_s

    seen.saw(KEY, user_agent="curl/8 secagg/0.1.0", created=time.time())
    assert shown() == (None, 0.0)
    seen.saw(KEY, user_agent="secagg/0.1.0", created=time.time() - 45)
    assert shown() == ("0.1.0", -45.0)
    seen.saw(KEY, user_agent="", created=time.time())
    assert shown() == ("0.1.0", 0.0)
    on_database(settings, lambda db: sites.end(db, KEY, name="left", ending="revoked", now=2.0))
    assert on_database(settings, lambda db: fleet(db, own_release="9.0.0")) == []
