"""A rehearsal through a real relay: the sum is right, and the rehearsal leaves no traces."""

import json

import pytest
from typer.testing import CliRunner

from relay.api.bundle import BundleError
from relay.server.commands.cli import app as relay_app
from relay.server.store import sites, tokens
from secagg.errors import ParameterError
from tests.support.relay_process import apart


def made(relay, path, address=None, **options):
    words = ["token", "rehearsal", "--bundle", path, "--address", address or relay.url, "--data", relay.data, "--json"]
    words += [word for name, value in options.items() for word in (f"--{name}", value)]
    done = apart(lambda: CliRunner().invoke(relay_app, [str(word) for word in words], catch_exceptions=False))
    return json.loads(done.stdout)


def test_a_rehearsal(site, tls, tmp_path):
    """With a relay of a private authority, whose certificates the bundle brings."""
    relay, folder = tls
    made(relay, tmp_path / "rehearsal.bundle", relay.url.replace("http:", "https:"), sites=7, ca=folder / "ca.pem")
    outcome = site.asked("rehearse", "--bundle", tmp_path / "rehearsal.bundle")
    assert (outcome["sites"], outcome["lost"], outcome["in_the_sum"], outcome["equal"]) == (7, 2, 6, True)
    assert list(outcome["seconds"]) == [
        "enrolment", "project", "joins", "prekeys", "encapsulations", "shares", "receipts", "uploads", "signatures",
        "answers", "departure",
    ]  # fmt: skip
    cast = [row for row in relay.transact(sites.all_sites) if row.name.startswith("rehearsal ")]
    assert [row.ending for row in cast] == ["deregistered"] * 8
    assert not site.data.exists()  # nothing of the site's own was made or touched
    with pytest.raises(Exception, match="bad-token"):  # once is enough
        site.told("rehearse", "--bundle", tmp_path / "rehearsal.bundle")


def test_a_bundle_of_another_kind(site, relay, tmp_path):
    made(relay, tmp_path / "rehearsal.bundle", sites=7, ttl="30m")
    with pytest.raises(ParameterError, match="--token"):
        site.told("enroll", "--bundle", tmp_path / "rehearsal.bundle", "--name", "x", "--config", tmp_path / "none")
    facts = json.loads((tmp_path / "rehearsal.bundle").read_text())
    (tmp_path / "other").write_text(json.dumps(facts | {"rehearsal": []}))
    with pytest.raises(ParameterError, match="not for a rehearsal"):
        site.told("rehearse", "--bundle", tmp_path / "other")
    (tmp_path / "old").write_text(json.dumps(facts | {"expires": 1}))
    with pytest.raises(BundleError, match="token expired on"):
        site.told("rehearse", "--bundle", tmp_path / "old")
    assert sum(row.role == "coordinator" for row in relay.transact(tokens.all_tokens) if row.label == "rehearsal") >= 1
