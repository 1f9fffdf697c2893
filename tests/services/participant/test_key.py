"""The key's life cycle: a backup contains no epoch, and a restore ends every existing one."""

import asyncio
import json
import time
from contextlib import closing
from uuid import uuid4

import pytest

from participant.records.ledger import NEVER_AGAIN, TABLES, Ledger
from participant.settings.key_backup import KeyBackupError
from relay.party.journal import Journal
from relay.party.keystore import KeystoreError
from secagg.errors import ParameterError
from tests.support.relay_scene import Scene
from tests.support.site_process import site_in, until


def entry(site, **facts):
    with closing(Journal(site.data, TABLES)) as journal, journal.transaction() as batch:
        Ledger(batch.connection).enter(facts)


def test_a_backup_is_sealed_and_is_never_written_over_a_file(enrolled, tmp_path):
    entry(enrolled, what="upload", canary="a statistic that was asked")
    made = enrolled.asked("key", "backup", "--to", tmp_path / "file")
    assert made["entries"] == 1
    content = (tmp_path / "file").read_bytes()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert b"canary" not in content
    assert bytes.fromhex(made["key"]) not in content
    with pytest.raises(ParameterError, match="exists"):
        enrolled.told("key", "backup", "--to", tmp_path / "file")


def test_a_folder_keeps_the_newest_backups(enrolled, tmp_path, monkeypatch):
    now = time.time()
    for day in range(4):
        monkeypatch.setattr(time, "gmtime", lambda *_, day=day: time.struct_time((2026, 1, 1 + day, 0, 0, 0, 0, 1, 0)))
        made = enrolled.asked("key", "backup", "--to", tmp_path, "--keep", "2")
    assert sorted(path.name for path in tmp_path.glob("*.backup")) == [
        "participant-20260103T000000Z.backup",
        "participant-20260104T000000Z.backup",
    ]
    assert made["removed"] == ["participant-20260102T000000Z.backup"]
    assert made["made"] >= now


def test_a_restore_brings_the_identity_and_the_ledger_and_no_confirmation(enrolled, tmp_path):
    run, project = uuid4(), uuid4()
    with closing(Journal(enrolled.data, TABLES)) as journal, journal.transaction() as batch:
        Ledger(batch.connection).join_epoch(run, project, 3)
        batch.put(f"{run}.epoch", b"the state of an epoch")
    entry(enrolled, what="upload", at=0, project=str(project))
    made = enrolled.asked("key", "backup", "--to", tmp_path / "file")
    with pytest.raises(KeyBackupError, match="needs an empty folder"):
        enrolled.told("key", "restore", tmp_path / "file")
    enrolled.data.rename(tmp_path / "lost")
    restored = enrolled.asked("key", "restore", tmp_path / "file")
    assert (restored["key"], restored["entries"], restored["runs"]) == (made["key"], 1, 1)
    assert enrolled.asked("project", "list") == {"projects": []}  # the relay knows the key
    entries = enrolled.asked("ledger")["entries"]
    assert [one["what"] for one in entries] == ["upload", "restored"]
    with closing(Journal(enrolled.data, TABLES)) as journal:
        ledger = Ledger(journal.connection)
        assert (journal.machines(), ledger.confirmed(project)) == ([], None)
        assert ledger.last_epoch(run) == NEVER_AGAIN  # no epoch of it is joined again, whatever its number


def test_settings_and_policy_are_put_back_where_there_are_none(enrolled, tmp_path):
    policy, settings = tmp_path / "policy.toml", tmp_path / "participant.toml"
    policy.write_text("minimum_rows = 77\n")
    enrolled.asked("configure", "--policy", policy, "--config", settings)
    enrolled.asked("key", "backup", "--to", tmp_path / "file", "--config", settings)
    enrolled.data.rename(tmp_path / "lost")
    policy.unlink()
    settings.write_text("poll_s = 7\n")
    restored = enrolled.asked("key", "restore", tmp_path / "file", "--config", settings)
    assert restored["files"] == [str(policy)]
    assert policy.read_text() == "minimum_rows = 77\n"
    assert settings.read_text() == "poll_s = 7\n"  # what is there is left alone


def test_what_is_no_backup_restores_nothing(enrolled, tmp_path):
    enrolled.asked("key", "backup", "--to", tmp_path / "file")
    sealed = json.loads((tmp_path / "file").read_text())
    flipped = sealed["sealed"][:-2] + ("A" if sealed["sealed"][-2] != "A" else "B") + sealed["sealed"][-1]
    enrolled.data.rename(tmp_path / "lost")
    for content in ("", "{}", "[]", json.dumps(sealed | {"sealed": flipped}), json.dumps(sealed | {"passes": 65})):
        (tmp_path / "file").write_text(content)
        with pytest.raises(KeyBackupError):
            enrolled.told("key", "restore", tmp_path / "file")
    assert not (enrolled.data / "journal.sqlite").exists()
    with pytest.raises(KeystoreError, match="enrol first"):
        enrolled.told("project", "list")


async def test_mail_from_before_a_restore_is_voided_and_its_run_never_joined(relay, tmp_path):
    """Recipe 7: what the relay still has for a restored site belongs to epochs that are burnt."""
    with site_in(tmp_path / "site", relay.url) as site:
        scene = await Scene.on(relay)
        key = await asyncio.to_thread(site.takes_over, scene.first)
        async with scene.client(scene.coordinator) as lead:
            await lead.post_message(scene.run, None, scene.frame(scene.coordinator, kind=1))
        site.asked("key", "backup", "--to", tmp_path / "file")
        site.data.rename(tmp_path / "lost")
        site.asked("key", "restore", tmp_path / "file")
        site.start()
        with closing(Journal(site.data, TABLES)) as journal:
            ledger = Ledger(journal.connection)
            await until(lambda: not ledger.is_restored())
            assert ledger.last_epoch(scene.run) == NEVER_AGAIN
            assert journal.position > 0
        assert "mail-voided" in site.log
        assert "frame-refused" not in site.log  # it was not even looked at
        assert key == scene.first.public
