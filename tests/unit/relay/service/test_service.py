"""Crash points, private folders and signals: the small parts that daemons share."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry, Counter

from relay.service import command
from relay.service.admin import admin_app
from relay.service.folders import private_folder, sync_folder
from relay.service.signals import stop_requested
from secagg.errors import ParameterError

PROGRAM = """
from relay.service.crashpoints import crashpoint
for number in range(3):
    crashpoint("other")
    crashpoint("here")
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    ("setting", "printed", "code"),
    [(None, "0 1 2", 0), ("here", "", -9), ("here:2", "0", -9), ("here:4", "0 1 2", 0), ("elsewhere", "0 1 2", 0)],
)
def test_a_crash_point_kills_at_its_passage(setting, printed, code):
    environment = {name: value for name, value in os.environ.items() if name != "SECAGG_CRASH_AT"}
    if setting:
        environment["SECAGG_CRASH_AT"] = setting
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout.split(), done.returncode) == (printed.split(), code)


def test_a_private_folder(tmp_path):
    made = private_folder(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    sync_folder(made)
    made.chmod(0o755)
    with pytest.raises(ParameterError, match=f"chmod 700 {made}"):
        private_folder(made)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "name: TimeoutError in fail (test_service.py, line "),
        (TimeoutError("the relay did not answer"), "name: the relay did not answer\n"),
        (FileNotFoundError(2, "No such file or directory", "/x"), "name: there is no file /x\n"),
    ],
    ids=["silent", "with words", "with a file"],
)
def test_a_command_s_error_has_words(error, said, capsys, monkeypatch):
    monkeypatch.setattr(command, "private_umask", lambda: None)

    def fail() -> None:
        raise error

    with pytest.raises(SystemExit):
        command.run(fail, "name")
    assert capsys.readouterr().err.startswith(said)


async def test_sigterm_and_sigint_ask_to_stop():
    for number in (signal.SIGTERM, signal.SIGINT):
        stop = stop_requested()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
        asyncio.get_running_loop().remove_signal_handler(number)


async def test_the_admin_port():
    registry = CollectorRegistry()
    Counter("example_events", "Events", registry=registry).inc()
    reasons = [None, "the disk is full"]

    async def readiness():
        return reasons.pop(0)

    async with TestClient(TestServer(admin_app(registry, readiness))) as client:
        assert (await client.get("/livez")).status == 200
        assert (await client.get("/readyz")).status == 200
        not_ready = await client.get("/readyz")
        assert (not_ready.status, (await not_ready.json())["reason"]) == (503, "the disk is full")
        assert "example_events_total 1.0" in await (await client.get("/metrics")).text()
