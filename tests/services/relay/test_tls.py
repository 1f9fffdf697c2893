"""TLS at the relay itself: a private authority, new certificates while it serves, client certificates."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import time
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from typer.testing import CliRunner

from relay.client.transport import RelayClient, RelayUnavailableError
from relay.server.commands import authority
from relay.server.commands.cli import app
from relay.server.core.config import RelayConfig
from relay.server.core.tls import Certificate, CertificateError
from relay.service.settings import SettingsError
from secagg.errors import ParameterError
from secagg.identity import Identity
from tests.support.relay_process import RelayProcess


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An authority as the commands make it, with a certificate for this machine and one for a client."""
    folder = tmp_path_factory.mktemp("tls") / "tls"
    CliRunner().invoke(app, ["tls", "init", "--folder", str(folder), "--host", "127.0.0.1"], catch_exceptions=False)
    CliRunner().invoke(app, ["tls", "issue", "klinikum", "--folder", str(folder)], catch_exceptions=False)
    return folder


@contextlib.contextmanager
def relay_with(data, folder, **settings):
    environment = {
        "SECAGG_RELAY_TLS_CERTIFICATE": str(folder / "relay.pem"),
        "SECAGG_RELAY_TLS_KEY": str(folder / "relay.key"),
        **settings,
    }
    with RelayProcess.start(data, environment=environment) as relay:
        yield relay


def url(relay) -> str:
    return relay.url.replace("http:", "https:")


def client(relay, folder, **options) -> RelayClient:
    return RelayClient(url(relay), Identity(os.urandom(32)), ca_file=folder / "ca.pem", give_up_after_s=3, **options)


async def serial(relay, folder) -> int:
    """Serial number of the certificate that the relay shows."""
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    _, writer = await asyncio.open_connection("127.0.0.1", relay.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


def test_the_authority_and_its_certificates(folder):
    """Another implementation's path validation takes them, for what they are made for and for nothing else."""
    load = {name: x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()) for name in ("ca", "relay")}
    policy = PolicyBuilder().store(Store([load["ca"]]))
    verifier = policy.build_server_verifier(x509.IPAddress(ip_address("127.0.0.1")))
    assert verifier.verify(load["relay"], []) == [load["relay"], load["ca"]]
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(x509.DNSName("elsewhere.example")).verify(load["relay"], [])
    shown = x509.load_pem_x509_certificate((folder / "klinikum.pem").read_bytes())
    with pytest.raises(x509.verification.VerificationError):
        policy.build_client_verifier().verify(load["relay"], [])
    with pytest.raises(x509.verification.VerificationError):
        verifier.verify(shown, [])
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_authority_is_made_once(folder):
    with pytest.raises(ParameterError, match="already has an authority"):
        authority.init(folder, ["relay.example.org"], days=1)
    for name in ("ca", "../relay", ""):
        with pytest.raises(ParameterError, match="letters, digits"):
            authority.issue(folder, name, [], days=1)


@pytest.mark.parametrize("hosts", [[], ["räksmörgås"]])
def test_an_authority_needs_a_host(tmp_path, hosts):
    with pytest.raises(ParameterError, match="host"):
        authority.init(tmp_path / "tls", hosts, days=1)


async def test_a_new_certificate_while_it_serves(tmp_path, folder):
    """By itself when the files change, at SIGHUP, and not at all while the files do not go together."""
    own = tmp_path / "tls"
    authority.init(own, ["127.0.0.1"], days=1)
    with relay_with(tmp_path / "data", own) as relay:
        first = await serial(relay, own)
        authority.issue(own, "relay", ["127.0.0.1"], days=2)
        second = await changed_from(first, relay, own)

        pair = {name: (own / name).read_bytes() for name in ("relay.pem", "relay.key")}
        (own / "relay.key").write_bytes((folder / "relay.key").read_bytes())
        relay.process.send_signal(signal.SIGHUP)
        await logged(relay, "the key does not match the certificate")
        (own / "relay.pem").write_bytes(pair["relay.pem"][:200])
        relay.process.send_signal(signal.SIGHUP)
        await logged(relay, "not a certificate in PEM format")
        assert await serial(relay, own) == second

        for name, content in pair.items():
            (own / name).write_bytes(content)
        authority.issue(own, "relay", ["127.0.0.1"], days=3)
        relay.process.send_signal(signal.SIGHUP)
        await changed_from(second, relay, own)
        async with client(relay, own) as site:
            with pytest.raises(Exception, match="unknown-site"):
                await site.sites()


async def changed_from(before: int, relay, folder) -> int:
    deadline = time.monotonic() + 30
    while (now := await serial(relay, folder)) == before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    return now


async def logged(relay, words: str) -> None:
    deadline = time.monotonic() + 30
    while words not in relay.log:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_certificates_of_clients(tmp_path, folder):
    strict = {"SECAGG_RELAY_TLS_CLIENT_AUTHORITY": str(folder / "ca.pem"), "SECAGG_RELAY_HEAD_S": "1"}
    with relay_with(tmp_path / "data", folder, **strict) as relay:
        shown = {"cert_file": folder / "klinikum.pem", "key_file": folder / "klinikum.key"}
        async with client(relay, folder, **shown) as site:
            with pytest.raises(Exception, match="unknown-site"):
                await site.sites()
        async with client(relay, folder) as site:
            with pytest.raises(RelayUnavailableError):
                await site.sites()
        # whoever connects and does not begin with TLS is closed like any slow one
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        assert await asyncio.wait_for(reader.read(), 15) == b""
        writer.close()


async def test_old_versions_of_tls_are_refused(tmp_path, folder):
    with relay_with(tmp_path / "data", folder) as relay:
        old = ssl.create_default_context(cafile=folder / "ca.pem")
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", relay.port, ssl=old)
        assert await serial(relay, folder)


def test_files_that_do_not_go_together(tmp_path, folder):
    with pytest.raises(CertificateError, match="does not match the certificate"):
        Certificate(folder / "relay.pem", folder / "klinikum.key", None)
    with pytest.raises(CertificateError, match="No such file"):
        Certificate(folder / "none.pem", folder / "relay.key", None)
    with pytest.raises(SettingsError, match="or neither"):
        RelayConfig(data=tmp_path, tls_certificate=folder / "relay.pem").certificate()


def test_the_commands_say_what_they_made(tmp_path):
    words = ["tls", "init", "--folder", str(tmp_path / "tls"), "--host", "relay.example.org", "--json"]
    told = json.loads(CliRunner().invoke(app, words, catch_exceptions=False).stdout)
    assert [Path(path).name for path in told["files"]] == ["ca.pem", "ca.key", "relay.pem", "relay.key"]
