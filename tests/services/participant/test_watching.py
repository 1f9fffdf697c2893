"""What a site's staff can see of its daemon: health, metrics, logs of runs, and who else may read the logs."""

import asyncio
import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from participant.records.ledger import TABLES, Ledger
from relay.client.parcels import Parcels
from relay.client.transport import RelayError
from relay.party.journal import Journal
from secagg.errors import ParameterError
from secagg.identity import Roster
from tests.support.relay_process import RelayProcess
from tests.support.relay_scene import Scene
from tests.support.site_process import site_in, until


async def test_a_daemon_is_ready_while_the_relay_answers(tmp_path):
    with RelayProcess.start(tmp_path / "relay") as relay, site_in(tmp_path / "site", relay.url) as site:
        await asyncio.to_thread(site.asked, "enroll", "--token", relay.token(), "--name", "x")
        await asyncio.to_thread(site.start)
        await until(lambda: site.metric("relay_reachable"))
        assert await site.readiness() == 200
        _every_metric_is_specified((await site.admin("metrics"))[1])
        relay.kill()
        await until(lambda: _is(site, 503))
        assert json.loads((await site.admin("readyz"))[1])["reason"]
        assert (await site.admin("livez"))[0] == 200
        assert await site.metric("failed_tries_total") >= 1
        assert await site.metric("relay_reachable") == 0
        assert (await asyncio.to_thread(site.asked, "status"))["daemon"] == "waiting"
        await asyncio.to_thread(relay.restart)
        await until(lambda: _is(site, 200))


async def _is(site, status) -> bool:
    return await site.readiness() == status


def _every_metric_is_specified(text: str) -> None:
    section = Path("specs/operations.md").read_text().partition("## 6. The participant")[2]
    named = set(re.findall(r"`([a-z_]+)(?:{[a-z,]+})?`", section))
    ours = set(re.findall(r"^# TYPE secagg_participant_(\S+)", text, re.MULTILINE))
    ours = {name for name in ours if not name.endswith("_created")}
    assert len(ours) >= 14
    assert {name for name in ours if name not in named} == set()
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes"):
        assert name in text


async def test_the_log_of_a_run_is_for_its_site_and_for_the_coordinator_it_is_sent_to(relay, tmp_path):
    with site_in(tmp_path / "site", relay.url) as site:
        scene = await Scene.on(relay)
        await asyncio.to_thread(site.takes_over, scene.first)
        async with scene.client(scene.coordinator) as lead:
            await lead.post_message(scene.run, None, scene.frame(scene.coordinator, kind=1))
        await asyncio.to_thread(site.start)
        path = site.data / "logs" / f"{scene.run}.jsonl"
        await until(path.exists)
        assert path.stat().st_mode & 0o777 == 0o600
        shown = await asyncio.to_thread(site.asked, "log", "show", scene.run)
        assert "frame-refused" in {json.loads(line)["event"] for line in shown["lines"]}
        with pytest.raises(ParameterError, match="no officer of this site has confirmed"):
            await asyncio.to_thread(site.told, "log", "send", scene.run)
        sites = [scene.first.public, scene.second.public]
        with closing(Journal(site.data, TABLES)) as journal, journal.transaction() as batch:
            ledger = Ledger(batch.connection)
            ledger.join_epoch(scene.run, scene.project, 1)
            ledger.confirm(
                scene.project, Roster.of(scene.project.bytes, b"terms", scene.coordinator.public, sites), b""
            )
        sent = await asyncio.to_thread(site.asked, "log", "send", scene.run)
        async with scene.client(scene.coordinator) as lead:
            (parcel,) = await Parcels(lead, scene.coordinator, scene.run, leads=True).receive()
            assert (parcel.author, len(parcel.text)) == (scene.first.public, sent["bytes"])
            assert b"frame-refused" in parcel.text
        async with scene.client(scene.second) as other:  # another site of the same run
            assert await Parcels(other, scene.second, scene.run, leads=False).receive() == []
            with pytest.raises(RelayError):
                await other.frame(parcel.id)
        stored = b"".join(file.read_bytes() for file in relay.data.rglob("*") if file.is_file())
        assert b"frame-refused" not in stored  # nor can the relay read it
        assert (await asyncio.to_thread(site.asked, "ledger"))["entries"][-1]["what"] == "log"


def test_the_log_of_a_run_that_there_is_none_of(enrolled):
    with pytest.raises(ParameterError, match="no log of run"):
        enrolled.told("log", "show", "00000000-0000-0000-0000-000000000001")
