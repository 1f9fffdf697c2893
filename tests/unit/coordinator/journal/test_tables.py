"""The coordinator's tables: packages are read back one by one, as they were stored."""

import sqlite3
from uuid import UUID

import numpy as np
import pytest

from coordinator.journal.schema import TABLES
from coordinator.journal.tables import ReleasedSum, RunTables
from relay.party.migrations import migrate
from secagg.messages import HeldLeaves, SharePackage


@pytest.fixture
def tables():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, TABLES)
    yield RunTables(connection, UUID(int=1))
    connection.close()


def test_packages_are_read_when_they_are_asked_for(tables):
    shares, leaves = (tables.packages(kind) for kind in (SharePackage, HeldLeaves))
    assert len(shares) == 0
    package, held = SharePackage(vaults=(b"vault",), slots={}), HeldLeaves(dealers={2: bytes(64)})
    for site in (3, 1):
        tables.keep(site, package)
    tables.keep(1, held)
    RunTables(tables.connection, UUID(int=2)).keep(2, package)
    assert list(shares) == [1, 3]
    assert shares[3] == package
    assert dict(leaves) == {1: held}
    with pytest.raises(KeyError):
        shares[2]
    tables.forget_packages()
    assert not shares
    assert not leaves


def test_a_package_that_is_kept_again_is_the_same_one(tables):
    for _ in range(2):
        tables.keep(1, HeldLeaves(dealers={}))
    assert len(tables.packages(HeldLeaves)) == 1


def test_a_sum_that_the_sites_keep_is_an_answer_without_one(tables):
    tables.enter(0, b"query", ReleasedSum(1, 40, ("north", "south"), np.array([0.0])))
    tables.enter(1, b"query", ReleasedSum(2, 40, ("north", "south"), None))
    assert tables.answer(0, b"query").total.tolist() == [0.0]
    assert tables.answer(1, b"query") == ReleasedSum(2, 40, ("north", "south"), None)
    assert [answer.round for _, answer in tables.answers()] == [1, 2]
