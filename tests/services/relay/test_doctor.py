"""The operator's commands for inspecting a relay: `doctor` and `admin`."""

import json
import sqlite3
import time
from uuid import UUID

import pytest
from typer.testing import CliRunner

from relay.api.states import RunState
from relay.client.transport import RelayError
from relay.server.commands import authority, checks
from relay.server.commands.cli import app
from relay.server.core.config import FILE_NAME, RelayConfig
from secagg.errors import ParameterError
from tests.support.relay_process import RelayProcess, apart, prepare


def told(*words, database: str | None = None):
    run = CliRunner(env={"SECAGG_RELAY_DATABASE": database}).invoke
    return apart(lambda: run(app, [str(word) for word in words], catch_exceptions=False))


def findings(**settings) -> dict[str, checks.Check]:
    return {check.name: check for check in apart(lambda: checks.examine(RelayConfig(**settings)))}


@pytest.fixture
def data(tmp_path):
    prepare(RelayConfig(data=tmp_path / "data"))
    return tmp_path / "data"


def test_a_served_relay_is_well_where_it_can_be(relay):
    run = told("doctor", "--json", "--data", relay.data, database=relay.database)
    assert run.exit_code == 2  # nobody made a backup of it
    found = doctor_document(run.stdout)
    assert len(found) >= 35
    for name in (
        "data-folder", "data-folder-private", "files-private", "disk-writable", "database", "database-schema",
        "database-writable", "database-integrity", "database-references", "audit-log", "audit-key", "payloads",
    ):  # fmt: skip
        assert found[name]["ok"], found[name]
    assert not found["backup-recent"]["ok"]
    assert "secagg-relay-backup.timer" in found["backup-recent"]["remedy"]


def doctor_document(text: str) -> dict[str, dict]:
    document = json.loads(text)
    assert list(document) == ["checks"]
    for check in document["checks"]:
        assert list(check) == ["name", "ok", "detail", "remedy"]
        assert bool(check["remedy"]) != check["ok"]
    return {check["name"]: check for check in document["checks"]}


async def test_ports_that_are_served_and_ports_that_are_not(tmp_path):
    with RelayProcess.start(tmp_path / "data") as relay:
        here = {"data": relay.data, "port": relay.port, "admin_port": relay.admin_port}
        found = findings(**here)
        assert all(found[name].ok for name in ("serving", "ready", "public-port", "admin-port")), found
        relay.stop()
        found = findings(**here)
        assert not found["serving"].ok
        assert found["public-port"].ok
        assert "is free" in found["public-port"].detail


def test_nothing_is_there(tmp_path):
    run = told("doctor", "--json", "--data", tmp_path / "nowhere")
    found = doctor_document(run.stdout)
    assert run.exit_code == 2
    assert not found["data-folder"]["ok"]
    assert "contains no relay" in found["database"]["detail"]
    assert "secagg-relay migrate" in found["data-folder"]["remedy"]


def test_words_for_people(data):
    run = told("doctor", "--data", data)
    assert run.exit_code == 2
    assert "backup-recent" in run.stdout


def test_what_others_may_read(data):
    (data / "relay.log").touch(mode=0o644)
    (data / "relay.log").chmod(0o644)
    data.chmod(0o750)
    found = findings(data=data)
    assert "relay.log" in found["files-private"].detail
    assert "mode 750" in found["data-folder-private"].detail
    assert f"chmod 700 {data}" in found["data-folder-private"].remedy


def test_a_damaged_database(data):
    with (data / FILE_NAME).open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 8)
    found = findings(data=data)
    assert not found["database-integrity"].ok
    assert "restore" in found["database-integrity"].remedy


def test_another_schema_and_a_changed_audit_log(data):
    told("token", "create", "--label", "one", "--data", data)
    with sqlite3.connect(data / FILE_NAME) as db:
        db.execute("UPDATE audit SET detail = '{}'")
    assert "chain breaks" in findings(data=data)["audit-log"].detail
    with sqlite3.connect(data / FILE_NAME) as db:
        db.execute("UPDATE alembic_version SET version_num = '0001'")
    assert "schema 0001" in findings(data=data)["database-schema"].detail


def test_a_clock_that_was_set_back(data):
    told("token", "create", "--label", "one", "--data", data)
    assert findings(data=data)["clock-goes-forward"].ok
    with sqlite3.connect(data / FILE_NAME) as db:
        db.execute("UPDATE audit SET at_ms = ?", (int((time.time() + 900) * 1000),))
    assert not findings(data=data)["clock-goes-forward"].ok


def test_tls(data, tmp_path):
    assert not findings(data=data, host="0.0.0.0")["tls"].ok
    assert not findings(data=data, admin_host="0.0.0.0")["admin-port-private"].ok
    authority.init(tmp_path / "tls", ["localhost"], days=20)
    pair = {"tls_certificate": tmp_path / "tls/relay.pem", "tls_key": tmp_path / "tls/relay.key"}
    found = findings(data=data, **pair)
    assert found["tls"].ok
    assert "expires in 20 days" in found["tls-expiry"].detail or "expires in 19 days" in found["tls-expiry"].detail
    assert not found["tls-expiry"].ok
    pair["tls_key"].write_text("no key")
    assert not findings(data=data, **pair)["tls"].ok


def test_a_backup_makes_its_checks_well(data, tmp_path):
    told("backup", "--to", tmp_path / "to", "--plain", "--data", data)
    found = findings(data=data, backup_to=tmp_path / "to", backup_recipients=("age1",))
    assert found["backup-recent"].ok
    assert found["backup-settings"].ok
    assert "the same disk" in found["backup-place"].detail


async def test_status_and_lists(relay, scene):
    where = ("--data", relay.data, "--json")
    status = json.loads(told("admin", "status", *where, database=relay.database).stdout)
    assert status["sites"]["coordinator"] >= 2
    assert status["runs"]["running"] >= 1
    assert UUID(status["epoch"]["id"])
    sites = json.loads(told("admin", "sites", *where, database=relay.database).stdout)["sites"]
    assert {site["role"] for site in sites} >= {"coordinator", "site"}
    async with scene.client(scene.coordinator) as lead:
        await lead.post_message(scene.run, None, scene.frame(scene.coordinator))
    runs = json.loads(told("admin", "runs", *where, database=relay.database).stdout)["runs"]
    (mine,) = [run for run in runs if run["run"] == str(scene.run)]
    assert [used["messages"] for used in mine["usage"]] == [1]
    assert mine["last_activity"] > mine["created"]
    for command in ("status", "sites", "runs"):
        assert (
            "UTC" in told("admin", command, "--data", relay.data, database=relay.database).stdout or command == "sites"
        )


async def test_an_operator_ends_a_run_and_it_is_written_down(relay, scene):
    where = ("--data", relay.data)
    told("admin", "cancel", scene.run, *where, database=relay.database)
    async with scene.client(scene.coordinator) as lead:
        run = await lead.run(scene.run)
        assert (run.state, run.reason) == (RunState.CANCELLED, "cancelled-by-operator")
        with pytest.raises(RelayError, match="conflict"):
            await lead.post_message(scene.run, None, scene.frame(scene.coordinator))
    entries = told("audit", "export", *where, database=relay.database).stdout.splitlines()
    mine = [json.loads(line)["entry"] for line in entries if f"run/{scene.run}" in line]
    assert [(entry["actor"], entry["action"]) for entry in mine] == [("operator", "run.changed")]
    for number, reason in ((scene.run, "is already cancelled"), (UUID(int=1), "no run")):
        with pytest.raises(ParameterError, match=reason):
            told("admin", "cancel", number, *where, database=relay.database)
