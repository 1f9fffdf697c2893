"""The site's self-checks for hospital IT: every check with its remedy, and an exit code that locates the problem."""

import asyncio
import json
import re
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from participant import doctor
from participant.doctor import CheckKind
from participant.records.ledger import TABLES, Ledger
from relay.api.states import Ending
from relay.party.journal import Journal
from relay.server.commands import authority
from relay.server.registry import endings
from relay.server.store import sites
from tests.support.connect_proxy import ConnectProxy
from tests.support.relay_process import RelayProcess
from tests.support.site_process import Site

CSV = "time,status,age\n" + "".join(f"{i + 1},{i % 2},{50 + i}\n" for i in range(20))
OF_THE_MACHINE = {"user", "clock", "core-dumps", "swap", "disk-space", "file-system", "memory", "disk-writable"}
"""What depends on where the tests run."""


def document(text: str) -> dict[str, dict]:
    found = json.loads(text)
    assert list(found) == ["checks"]
    for check in found["checks"]:
        assert list(check) == ["name", "ok", "detail", "remedy"]
        assert bool(check["remedy"]) != check["ok"], check
    return {check["name"]: check for check in found["checks"]}


def examined(site: Site, **more: str) -> tuple[dict[str, dict], int]:
    run = Site(site.folder, site.relay, {**site.more, **more}, site.admin_port).told("doctor", "--json")
    return document(run.stdout), run.exit_code


def failed(found: dict[str, dict]) -> set[str]:
    return {name for name, check in found.items() if not check["ok"]} - OF_THE_MACHINE


def test_an_enrolled_site_that_works_is_well(enrolled, tmp_path):
    (tmp_path / "lung.csv").write_text(CSV)
    enrolled.more = {"SECAGG_PARTICIPANT_ANCHOR": str(tmp_path / "cache/anchor")}
    enrolled.asked("data", "import", "lung", tmp_path / "lung.csv", "--no-pictures")
    enrolled.asked("key", "backup", "--to", tmp_path / "backup")
    enrolled.start()
    found, code = examined(enrolled)
    assert failed(found) == set(), {name: found[name] for name in failed(found)}
    assert len(found) == len(doctor._CHECKS)
    assert code in {
        0,
        *(kind.value for kind in (CheckKind.PERMISSIONS, CheckKind.DISK, CheckKind.MACHINE, CheckKind.CLOCK)),
    }
    assert found["dns"]["detail"] == "127.0.0.1 resolves to 127.0.0.1"
    assert "ms" in found["round-trip"]["detail"]
    assert enrolled.told("doctor").output.count("ok") >= 30
    status = enrolled.asked("status")
    assert (status["daemon"], status["datasets"]) == ("working", {"lung": 1})
    enrolled.end()
    assert enrolled.asked("status")["daemon"] == "not running"


def test_a_machine_on_which_nothing_is_configured(tmp_path):
    found, code = examined(Site(tmp_path))
    assert code == CheckKind.SETTINGS
    assert "enroll --bundle" in found["settings"]["remedy"]
    for name in ("data-folder", "identity", "passphrase", "journal", "datasets", "dns", "tls", "relay", "enrolled"):
        assert not found[name]["ok"], found[name]
    assert not (tmp_path / "data").exists()  # looking makes nothing


def test_settings_that_cannot_be_read(tmp_path):
    found, code = examined(Site(tmp_path, more={"SECAGG_PARTICIPANT_POLL_S": "1000"}))
    assert code == CheckKind.SETTINGS
    assert "poll_s" in found["settings"]["detail"]
    assert {check["detail"] for name, check in found.items() if name != "settings"} == {"not checked"}


def test_what_is_wrong_with_the_holdings(enrolled, tmp_path):
    (tmp_path / "lung.csv").write_text(CSV)
    (tmp_path / "policy.toml").write_text("colour = 1\n")
    enrolled.asked("data", "import", "lung", tmp_path / "lung.csv", "--no-pictures")
    data = next((enrolled.data / "datasets/lung/1").glob("data.parquet"))
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    (enrolled.data / "identity.json").chmod(0o644)
    found, code = examined(
        enrolled,
        SECAGG_PARTICIPANT_POLICY=str(tmp_path / "policy.toml"),
        SECAGG_PARTICIPANT_ANCHOR=str(enrolled.data / "anchor"),
    )
    assert code == CheckKind.SETTINGS  # of all that failed, what is likely to be the cause
    assert {"settings", "files-private", "identity", "datasets-whole", "policy", "anchor", "backup"} <= failed(found)
    assert "colour" in found["policy"]["detail"]
    assert "chmod 600" in found["identity"]["detail"]


def test_a_journal_that_is_not_whole(enrolled):
    Journal(enrolled.data, TABLES).close()
    path = enrolled.data / "journal.sqlite"
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 4096):
        content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)
    found, _ = examined(enrolled)
    assert not found["journal"]["ok"]


def test_a_ledger_that_was_changed(enrolled):
    with closing(Journal(enrolled.data, TABLES)) as journal, journal.transaction() as batch:
        Ledger(batch.connection).enter({"what": "upload", "at": 0})
        batch.connection.execute("UPDATE release SET entry = ?", (b'{"at":0,"what":"nothing"}',))
    found, code = examined(enrolled)
    assert not found["ledger"]["ok"]
    assert code in {CheckKind.JOURNAL, CheckKind.PERMISSIONS, CheckKind.DISK, CheckKind.MACHINE, CheckKind.CLOCK}


def test_each_step_of_the_way_that_can_break(enrolled, tmp_path):
    def broken(relay: str, **more: str) -> tuple[set[str], dict]:
        site = Site(enrolled.folder, relay, {**enrolled.more, **more})
        found, _ = examined(site)
        return failed(found), found

    _, found = broken("https://relay.invalid")
    assert not found["dns"]["ok"]
    assert found["tls"]["detail"] == "not reached: dns failed"
    _, found = broken("http://127.0.0.1:9")
    assert not found["connection"]["ok"]
    assert "refused" in found["connection"]["detail"]
    assert not found["enrolled"]["ok"]
    _, found = broken(enrolled.relay, SECAGG_PARTICIPANT_PROXY="http://127.0.0.1:9")
    assert not found["proxy"]["ok"]
    with page(b"<html>log in, please</html>") as url:
        _, found = broken(url)
        assert not found["relay"]["ok"]
        assert "did not come from a relay" in found["relay"]["detail"]
    with page(b'{"status": "alive"}', ahead_s=-90) as url:
        _, found = broken(url)
        assert "behind" in found["clock-of-the-relay"]["detail"]
        assert not found["clock-of-the-relay"]["ok"]


async def test_a_proxy_with_a_password_and_a_private_authority(tmp_path):
    authority.init(tmp_path / "tls", ["127.0.0.1"], days=30)
    authority.init(tmp_path / "other", ["127.0.0.1"], days=30)
    pair = {
        "SECAGG_RELAY_TLS_CERTIFICATE": tmp_path / "tls/relay.pem",
        "SECAGG_RELAY_TLS_KEY": tmp_path / "tls/relay.key",
    }
    with RelayProcess.start(tmp_path / "relay", environment={name: str(path) for name, path in pair.items()}) as relay:
        async with ConnectProxy.on(password="pass word") as proxy:
            (tmp_path / "site").mkdir()
            url = relay.url.replace("http:", "https:")
            through = proxy.url.replace(" ", "%20")
            more = {"SECAGG_PARTICIPANT_PROXY": through, "SECAGG_PARTICIPANT_CA_FILE": str(tmp_path / "tls/ca.pem")}
            site = Site(tmp_path / "site", url, more)

            async def look(**changed: str) -> dict[str, dict]:
                return (await asyncio.to_thread(examined, site, **changed))[0]

            await asyncio.to_thread(site.asked, "enroll", "--token", relay.token(), "--name", "behind a proxy")
            found = await look()
            assert all(found[name]["ok"] for name in ("proxy", "dns", "tls", "certificate-expiry", "enrolled")), found
            assert "pass" not in found["proxy"]["detail"]
            assert proxy.connects
            found = await look(SECAGG_PARTICIPANT_PROXY=through.replace("pass", "wrong"))
            assert "407" in found["proxy"]["detail"]
            found = await look(SECAGG_PARTICIPANT_CA_FILE=str(tmp_path / "other/ca.pem"))
            assert not found["tls"]["ok"]
            assert found["proxy"]["ok"]
            assert "private authority" in found["tls"]["remedy"]


def test_a_key_that_was_revoked(enrolled, relay):
    def revoke(db):
        (row,) = (row for row in sites.all_sites(db) if row.key.hex() == enrolled.asked("status")["key"])
        endings.end(db, row, Ending.REVOKED, actor="operator", reason="", now=time.time())

    relay.transact(revoke)
    found, code = examined(enrolled)
    assert not found["enrolled"]["ok"]
    assert "revoked" in found["enrolled"]["detail"]
    assert code != 0


def test_a_port_that_another_program_has(enrolled):
    with page(b"another program") as url:
        enrolled.admin_port = int(url.rpartition(":")[2])
        found, _ = examined(enrolled)
    assert "another program" in found["admin-port"]["detail"]


def test_the_readme_counts_the_checks_and_lists_the_codes():
    text = (Path(doctor.__file__).parents[1] / "README.md").read_text()
    assert f"checks {len(doctor._CHECKS)} things" in text
    section = text.partition("## Watching it")[2].partition("\n## ")[0]
    codes = {int(code) for code in re.findall(r"\| (\d+) (?=\|)", section)}
    assert codes == {0, *CheckKind}


def test_exit_codes_name_the_first_cause():
    found = doctor.unexamined("why")
    assert doctor.exit_code(found) == CheckKind.SETTINGS
    well = [type(check)(check.name, True, "") for check in found]
    assert doctor.exit_code(well) == 0
    for at, (kind, look) in enumerate(doctor._CHECKS):
        one = [*well[:at], found[at], *well[at + 1 :]]
        assert doctor.exit_code(one) == kind, look


class page:  # noqa: N801 - reads as the word that it is
    """A server that gives every request the same answer, with a clock of its own."""

    def __init__(self, body: bytes, ahead_s: float = 0) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp=None) -> str:
                return format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)

            def log_message(self, *words) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Answer)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
