"""From nothing to the first approved sum by the README's steps alone: its commands, in order, with real processes.

Values that a person would fill in are substituted here: paths, the project's ID, and the twelve words that come by
telephone. The report of the test run shows the time taken; no test asserts it.
"""

import asyncio
import json
import re
import shlex
import sys
import time
from base64 import b64encode
from pathlib import Path

import aiohttp

from coordinator.demo.stage import _clean
from participant.doctor import CheckKind
from relay.party import keystore
from tests.e2e.test_network import SITES, assert_pooled
from tests.support.network import POLICY, network, written

STEPS = Path("participant/README.md").read_text().partition("## Ten minutes to the first sum")[2].partition("\n## ")[0]
LINES = re.findall(r"^    secagg-participant (.*)$", STEPS, re.MULTILINE)
OF_THE_MACHINE = {CheckKind.PERMISSIONS, CheckKind.DISK, CheckKind.MACHINE, CheckKind.CLOCK, CheckKind.JOURNAL}
"""Where the tests run (as root, without a time service), and that there is no journal or backup before the start."""


async def said(words: list[str], environment: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "participant", *words,
        env=_clean(environment), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, complaint = await process.communicate()
    return process.returncode, out.decode() + complaint.decode()


async def test_the_steps_of_the_readme_lead_to_the_first_sum(tmp_path, record_property):
    others = {name: SITES[name] for name in ("south", "west")}
    async with network(tmp_path / "net", others) as net:
        home = tmp_path / "site"
        home.mkdir()
        passphrase = home / "passphrase"
        passphrase.write_text("correct horse battery staple\n")
        passphrase.chmod(0o600)
        written(home, "lung", SITES["north"])
        (home / "policy.toml").write_text(POLICY)
        bundle = home / "st-example.bundle"
        await net.relay("token", "create", "--label", "north", "--bundle", str(bundle), "--address", net.stage.url)
        environment = {
            "XDG_CONFIG_HOME": str(home / "config"),
            "SECAGG_PARTICIPANT_POLICY": str(home / "policy.toml"),
            "SECAGG_PARTICIPANT_INVITATIONS_S": "0.5",
            "SECAGG_PARTICIPANT_ADMIN_PORT": "0",
        }
        places = {
            "/var/lib/secagg": str(home / "data"),
            "/etc/secagg/passphrase": str(passphrase),
            "st-example.bundle": str(bundle),
            "lung.csv": str(home / "lung.csv"),
        }
        began, daemon = time.monotonic(), None
        for line in LINES:
            words = [places.get(word, word) for word in shlex.split(line)]
            if words == ["start"]:
                with (home / "daemon.log").open("wb") as log:
                    daemon = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "participant", "start", "--json",
                        env=_clean(environment), stdout=asyncio.subprocess.PIPE, stderr=log,
                    )  # fmt: skip
                ready = json.loads(await daemon.stdout.readline())
                project, members = await net.invited()
                places["PROJECT"] = project
                assert members["north"]["state"] == "joined", members
                places["..."] = (await net.coordinator("project", "seal", project))["words"]
                continue
            code, text = await said(words, environment)
            assert code == 0 or (words == ["doctor"] and CheckKind(code) in OF_THE_MACHINE), (line, code, text)
            if words[:2] == ["project", "agree"]:
                for name in others:
                    await net.site(name, "project", "accept", project, "--words", places["..."])
                report = await net.run(project)
                seconds = time.monotonic() - began
            shown = text
        assert_pooled(report, list(SITES))
        assert "upload" in shown  # the ledger, the last of the steps
        record_property("seed", f"first sum after {seconds:.0f} s of the README's steps")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{ready['admin_port']}/metrics") as answer,
        ):
            (home / "metrics").write_bytes(await answer.read())
        _no_secret_is_where_others_look(home, passphrase.read_text().strip(), json.loads(bundle.read_text())["token"])
        daemon.terminate()
        await daemon.wait()


def _no_secret_is_where_others_look(home: Path, phrase: str, token: str) -> None:
    """Recipe 38: neither state, logs, metrics nor settings have the passphrase, the token, or the identity's seed."""
    seed = keystore.seed_of(home / "data/identity.json", phrase)
    secrets = [phrase.encode(), token.encode(), seed, seed.hex().encode(), b64encode(seed).rstrip(b"=")]
    places = [home / "daemon.log", home / "metrics", *(home / "config").rglob("*"), *(home / "data").rglob("*")]
    looked = [path for path in places if path.is_file()]
    assert {"daemon.log", "metrics", "participant.toml", "journal.sqlite"} <= {path.name for path in looked}
    for path in looked:
        content = path.read_bytes()
        assert [secret for secret in secrets if secret in content] == [], path
        if path.is_relative_to(home / "data"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_steps_are_there():
    assert [line.split()[0] for line in LINES] == [
        "configure", "enroll", "data", "doctor", "start", "project", "project", "project", "ledger",
    ]  # fmt: skip
