"""What a process loads: the relay loads no arithmetic and no keys, its client no server."""

import json
import subprocess
import sys

import pytest

HEAVY = {"numba", "tenseal", "secagg.protocol", "secagg.keys", "secagg.masks", "secagg.kernels"}
SERVER = {
    "sqlalchemy",
    "alembic",
    "relay.server.store",
    "relay.server.store.schema",
    "relay.server.app",
    "relay.server.routes",
    "relay.server.core.config",
}


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        (("relay.server.app", "relay.server.serve", "relay.server.commands.cli"), HEAVY),
        (
            ("relay.client.transport", "relay.service.settings", "relay.service.admin", "relay.service.signals"),
            HEAVY | SERVER,
        ),
    ],
    ids=["the relay", "its client"],
)
def test_what_is_loaded(modules, never):
    program = f"import json, sys, {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not never & set(json.loads(done.stdout))
