"""The identity at rest: one passphrase opens it, nothing else does, and no file reveals more than it must."""

import json
from pathlib import Path

import pytest

from relay.party import keystore
from relay.party.keystore import KeystoreError

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "party"
    folder.mkdir(mode=0o700)
    return folder / "identity.json"


def test_create_and_unlock_give_the_same_identity(path: Path) -> None:
    created = keystore.create(path, PASSPHRASE)
    assert keystore.unlock(path, PASSPHRASE).public == created.public
    assert keystore.unlock_or_create(path, PASSPHRASE).public == created.public
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_holds_no_seed(path: Path) -> None:
    identity = keystore.create(path, PASSPHRASE)
    seed = identity._key.encode()
    content = path.read_bytes()
    assert seed not in content
    assert seed.hex().encode() not in content
    assert PASSPHRASE.encode() not in content


@pytest.mark.parametrize("passphrase", ["", "wrong passphrase", PASSPHRASE + " ", PASSPHRASE.upper()])
def test_another_passphrase_opens_nothing(path: Path, passphrase: str) -> None:
    keystore.create(path, PASSPHRASE)
    with pytest.raises(KeystoreError, match="does not open with this passphrase"):
        keystore.unlock(path, passphrase)


def test_a_short_passphrase_is_refused_before_anything_is_stored(path: Path) -> None:
    with pytest.raises(KeystoreError, match="at least 12"):
        keystore.create(path, "short")
    assert not path.exists()


def test_an_identity_is_never_overwritten(path: Path) -> None:
    before = keystore.create(path, PASSPHRASE)
    with pytest.raises(KeystoreError, match="never overwritten"):
        keystore.create(path, PASSPHRASE)
    assert keystore.unlock(path, PASSPHRASE).public == before.public


def test_a_missing_file_says_what_to_do(path: Path) -> None:
    with pytest.raises(KeystoreError, match="enrol first"):
        keystore.unlock(path, PASSPHRASE)


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    keystore.create(path, PASSPHRASE)
    path.chmod(0o640)
    with pytest.raises(KeystoreError, match="chmod 600"):
        keystore.unlock(path, PASSPHRASE)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", 2),
        ("passes", 0),
        ("memory_bytes", 1 << 40),
        ("salt", "AAAA"),
        ("sealed", ""),
        ("kdf", "md5"),
        ("x", 1),
    ],
)
def test_a_changed_file_is_no_key_file(path: Path, member: str, value: object) -> None:
    keystore.create(path, PASSPHRASE)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, member: value}))
    with pytest.raises(KeystoreError, match="not a key file"):
        keystore.unlock(path, PASSPHRASE)


def test_an_exchanged_public_key_is_noticed(path: Path) -> None:
    keystore.create(path, PASSPHRASE)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "public": "A" * 43}))
    with pytest.raises(KeystoreError, match="damaged"):
        keystore.unlock(path, PASSPHRASE)
