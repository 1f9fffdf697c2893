import asyncio
from functools import partial

import pytest

from tests.support.postgres import Postgres
from tests.support.relay_process import RelayProcess
from tests.support.relay_scene import Scene


@pytest.fixture(scope="session")
def postgres(testrun_uid):
    """The PostgreSQL server of this test run."""
    return Postgres.shared(testrun_uid)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_database(request):
    """Makes a database for a relay and returns its URL; None means SQLite in the relay's folder."""
    if request.param == "sqlite":
        return lambda: None
    return request.getfixturevalue("postgres").new


@pytest.fixture
def start_relay(new_database, tmp_path):
    """Starts a relay of the test's own, in the folder `data` of its temporary one."""
    return partial(RelayProcess.start, tmp_path / "data", database=new_database())


@pytest.fixture(scope="session")
def relay(tmp_path_factory, new_database):
    """One relay for all tests of a worker that do not kill it; each test brings its own sites."""
    with RelayProcess.start(tmp_path_factory.mktemp("relay") / "data", database=new_database()) as process:
        yield process


@pytest.fixture(scope="session")
def shared_scene(relay):
    """A project for tests that leave it as it is, or add to it without harm."""
    return asyncio.run(Scene.on(relay))


@pytest.fixture
async def scene(relay):
    """A project of the test's own."""
    return await Scene.on(relay)
