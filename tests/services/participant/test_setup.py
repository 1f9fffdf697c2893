"""The first day of a site: a bundle or a token, and settings that are checked before they are written."""

import json
import time
import tomllib

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from participant.settings import settings_writer
from participant.settings.config import ParticipantConfig
from participant.settings.passphrase import PassphraseError, passphrase
from relay.api.bundle import Bundle, BundleError
from relay.client.enrolment import enrol
from relay.server.commands.cli import app as relay_app
from relay.service.settings import SettingsError
from secagg.errors import ParameterError
from tests.support.relay_process import apart
from tests.support.site_process import PASSPHRASE, Site


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A site without any setting, whose settings file is where a user's would be."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    folder = tmp_path / "alone"
    folder.mkdir()
    return Site(folder, more={"XDG_CONFIG_HOME": str(tmp_path / "xdg")})


def bundled(relay, tls, path, label="Klinikum", **options):
    words = ["token", "create", "--label", label, "--bundle", path, "--data", relay.data, "--ca", tls / "ca.pem"]
    words += ["--address", relay.url.replace("http:", "https:"), "--json"]
    words += [word for name, value in options.items() for word in (f"--{name}", value)]
    done = apart(lambda: CliRunner().invoke(relay_app, [str(word) for word in words], catch_exceptions=False))
    return json.loads(done.stdout)


def test_a_bundle_is_all_that_a_site_needs(alone, tls, tmp_path):
    relay, folder = tls
    made = bundled(relay, folder, tmp_path / "klinikum.bundle")
    assert "token" not in made  # it is in the file alone
    assert (tmp_path / "klinikum.bundle").stat().st_mode & 0o777 == 0o600
    enrolled = alone.asked("enroll", "--bundle", tmp_path / "klinikum.bundle")
    assert enrolled["name"] == "Klinikum"
    written = tomllib.loads((tmp_path / "xdg/secagg/participant.toml").read_text())
    assert written["relay"].startswith("https://127.0.0.1:")
    assert written["ca_file"] == str(alone.data / "relay-ca.pem")
    assert alone.asked("project", "list") == {"projects": []}  # with what was written, and a checked certificate
    with pytest.raises(Exception, match="bad-token"):
        Site(alone.folder / "another", more=alone.more).asked("enroll", "--bundle", tmp_path / "klinikum.bundle")


def test_a_bundle_holds_nothing_else_than_a_way_to_the_relay(tls, tmp_path):
    relay, folder = tls
    bundled(relay, folder, tmp_path / "file")
    found = json.loads((tmp_path / "file").read_text())
    assert set(found) == {"secagg_bundle", "relay", "ca", "token", "label", "expires", "rehearsal"}
    with pytest.raises(ParameterError, match="exists"):
        bundled(relay, folder, tmp_path / "file")
    key = (folder / "ca.key").read_text()
    wrong = {
        "a private key": {"ca": (folder / "ca.pem").read_text() + key},
        "no certificate": {"ca": "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"},
        "a key alone": {"ca": key},
        "a page": {"relay": "https://relay.example.org/enrol"},
        "another scheme": {"relay": "file:///etc/passwd"},
        "a password": {"relay": "https://user:secret@relay.example.org"},
        "a policy": {"policy": 'loss_rule = "continue"'},
        "a proxy": {"proxy": "http://proxy"},
        "another form": {"secagg_bundle": 2},
        "an old token": {"expires": time.time() - 1},
    }
    for name, change in wrong.items():
        (tmp_path / "wrong").write_text(json.dumps(found | change))
        with pytest.raises(BundleError):
            pytest.fail(f"{name}: {Bundle.read(tmp_path / 'wrong', now=time.time())!r}")
    for content in (b"", b"[]", b"\xff\xfe", b"{" * 100_000, json.dumps(found).encode() + b" " * 70_000):
        (tmp_path / "wrong").write_bytes(content)
        with pytest.raises(BundleError):
            Bundle.read(tmp_path / "wrong", now=time.time())


def test_a_bundle_shows_its_token_nowhere():
    bundle = Bundle(relay="https://relay.example.org", token=SecretStr("secagg-join-canary"))
    assert "canary" not in f"{bundle!r} {bundle} {bundle.model_dump_json()}"


def test_a_refused_bundle_changes_nothing(alone, tmp_path):
    (tmp_path / "file").write_text('{"secagg_bundle": 1, "relay": "http://relay.example.org"}')
    with pytest.raises(ParameterError, match="--token"):
        alone.told("enroll", "--bundle", tmp_path / "file", "--name", "x")
    with pytest.raises(ParameterError, match="use https"):
        alone.told("enroll", "--bundle", tmp_path / "file", "--name", "x", "--token", "t")
    assert not (tmp_path / "xdg/secagg/participant.toml").exists()
    assert not (alone.data / "identity.json").exists()


def test_configure_writes_what_is_valid_and_nothing_else(alone, tmp_path):
    path = tmp_path / "xdg/secagg/participant.toml"
    secret = tmp_path / "passphrase"
    secret.write_text("x")
    done = alone.asked("configure", "--relay", "https://relay.example.org", "--passphrase-file", secret)
    assert done == {"file": str(path), "changed": ["passphrase_file", "relay"]}
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    for words, complaint in (
        (["--relay", "ftp://relay"], "is not a relay's URL"),
        (["--relay", "http://relay.example.org"], "use https"),
        (["--ca-file", tmp_path / "none"], "ca_file: there is no file"),
        (["--ca-file", secret], "cannot use these files for TLS"),
        (["--policy", secret], "not a valid TOML file"),
        (["--admin-port", "70000"], "admin_port"),
        (["--unset", "colour"], "colour: unknown setting"),
        ([], "no change is given"),
    ):
        with pytest.raises(ParameterError, match=complaint):
            alone.told("configure", *words)
        assert path.read_text() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["participant.toml"]
    alone.asked("configure", "--unset", "passphrase_file", "--proxy", 'http://name:p"ä\\ss@proxy:3128')
    assert tomllib.loads(path.read_text()) == {
        "relay": "https://relay.example.org",
        "proxy": 'http://name:p"ä\\ss@proxy:3128',
    }


def test_a_passphrase_never_gets_into_the_file(tmp_path):
    with pytest.raises(SettingsError, match="name a passphrase_file"):
        settings_writer.write(tmp_path / "file", {"passphrase": "x"})
    assert not (tmp_path / "file").exists()


def test_config_check_and_show(alone, tmp_path):
    with pytest.raises(ParameterError, match="no relay is configured"):
        alone.told("config", "check")
    alone.asked("configure", "--relay", "https://relay.example.org", "--proxy", "http://me:canary@proxy:3128")
    assert alone.asked("config", "check")["valid"]
    shown = alone.asked("config", "show")["settings"]
    assert shown["relay"] == {"value": "https://relay.example.org", "from": "settings file"}
    assert shown["proxy"]["value"] == "http://me:redacted@proxy:3128"
    assert shown["passphrase"] == {"value": "[redacted]", "from": "environment"}
    assert shown["poll_s"] == {"value": 30.0, "from": "default"}
    told = alone.told("config", "show", "--redacted").output
    for text in (PASSPHRASE, "canary", "example.org", "proxy:3128", str(alone.data)):
        assert text not in told
    (tmp_path / "xdg/secagg/participant.toml").write_text('relai = "https://relay.example.org"\n')
    with pytest.raises(ParameterError, match="relai is unknown; did you mean relay"):
        alone.told("config", "check")


def test_where_a_passphrase_comes_from(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text("of the file\n")
    path.chmod(0o640)
    assert passphrase(ParticipantConfig(passphrase_file=path)) == "of the file"
    assert passphrase(ParticipantConfig(passphrase_file=path, passphrase="given")) == "given"
    assert passphrase(ParticipantConfig(passphrase_command=["echo", "of a keyring"])) == "of a keyring"
    path.chmod(0o644)
    with pytest.raises(PassphraseError, match="every user of this machine"):
        passphrase(ParticipantConfig(passphrase_file=path, passphrase="given"))
    for words in (["false"], ["/no/such/program"]):
        with pytest.raises(PassphraseError, match="failed"):
            passphrase(ParticipantConfig(passphrase_command=words))
    with pytest.raises(PassphraseError, match="there is no file"):
        passphrase(ParticipantConfig(passphrase_file=tmp_path / "none"))


async def test_enrolling_again_with_the_same_token_is_harmless(site, relay):
    token = relay.token()
    config = site.config
    first, _ = await enrol(config.identity, PASSPHRASE, config.client, token=token, name="twice")
    second, found = await enrol(config.identity, PASSPHRASE, config.client, token=token, name="twice")
    assert (first.public, found.name) == (second.public, "twice")
