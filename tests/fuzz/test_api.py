"""A few hundred requests from the long run (`make fuzz-api`), covering every endpoint."""

import os
import time

import pytest

from relay.server.routes import ROUTES
from tests.fuzz.api import UNLIMITED, fuzz
from tests.support.relay_process import RelayProcess


@pytest.mark.filterwarnings("ignore")  # schemathesis's, on what it cannot generate
def test_any_request_gets_a_declared_answer(tmp_path):
    number = int.from_bytes(os.urandom(4), "big")
    print(f"seed {number}")
    with RelayProcess.start(tmp_path / "data", environment=UNLIMITED) as relay:
        counts = fuzz(relay, cases=8 * len(ROUTES), until=time.monotonic() + 60, number=number)
        assert '"level": "error"' not in relay.log
    assert {name.split()[0] for name in counts} == {route.name for route in ROUTES}
