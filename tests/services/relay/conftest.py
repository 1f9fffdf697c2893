import asyncio

import pytest

from tests.support.relay_process import RelayProcess
from tests.support.relay_scene import Scene


@pytest.fixture(scope="session")
def relay(tmp_path_factory):
    """One relay for all tests of a worker that do not kill it; each test brings its own sites."""
    with RelayProcess.start(tmp_path_factory.mktemp("relay") / "data") as process:
        yield process


@pytest.fixture(scope="session")
def shared_scene(relay):
    """A project for tests that leave it as it is, or add to it without harm."""
    return asyncio.run(Scene.on(relay))


@pytest.fixture
async def scene(relay):
    """A project of the test's own."""
    return await Scene.on(relay)
