"""The search of the relay finds secrets leaked on purpose, in every form, and nothing else."""

import base64
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from coordinator.demo.canaries import of_secret, of_vector, search
from secagg import packing, ring
from secagg.params import Schema, Segment
from secagg.quantize import quantize

SECRET = bytes(range(100, 132))
SCHEMA = Schema(ring_bits=44, mac_lanes=0, segments=(Segment(count=200, clip=8.0, step=2.0**-36),))


@pytest.fixture
def relay(tmp_path: Path) -> Path:
    """A folder like the relay's, full of ciphertext."""
    folder = tmp_path / "relay"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "one").write_bytes(os.urandom(100_000))
    database = sqlite3.connect(folder / "relay.sqlite")
    database.execute("CREATE TABLE message (id INTEGER, frame BLOB, note TEXT)")
    database.executemany("INSERT INTO message VALUES (?, ?, 'x')", [(i, os.urandom(9000)) for i in range(20)])
    database.commit()
    database.close()
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "relay.log"
    path.write_text('{"event": "request"}\n' * 100)
    return path


def vector() -> np.ndarray:
    return np.sin(np.arange(200.0)) * 7


def test_ciphertext_holds_no_canary(relay: Path, log: Path) -> None:
    canaries = [*of_secret("key", SECRET), *of_vector("vector", vector(), SCHEMA)]
    assert search(canaries, relay, [log]) == []


def _plain(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize("offset", range(9))
@pytest.mark.parametrize(
    "form",
    [_plain, bytes.hex, lambda data: data.hex().upper(), base64.b64encode, base64.urlsafe_b64encode],
    ids=["raw", "hex", "HEX", "base64", "base64url"],
)
def test_a_leaked_key_is_found_in_a_blob_at_any_offset(relay: Path, log: Path, form: object, offset: int) -> None:
    written = form(os.urandom(offset) + SECRET + os.urandom(5))  # type: ignore[operator]
    data = written if isinstance(written, bytes) else written.encode()
    (relay / "blobs" / "two").write_bytes(os.urandom(1000 + offset) + data + os.urandom(100))
    found = search(of_secret("key", SECRET), relay, [log])
    assert found
    assert {sighting.where for sighting in found} == {"blobs/two"}


def test_a_leak_in_a_log_is_found(relay: Path, log: Path) -> None:
    log.write_text(log.read_text() + f'{{"share": "{SECRET.hex()}"}}\n')
    assert [one.where for one in search(of_secret("key", SECRET), relay, [log])] == ["relay.log"]


def test_a_leak_in_a_cell_is_found_though_it_is_spread_over_pages(relay: Path, log: Path) -> None:
    database = sqlite3.connect(relay / "relay.sqlite")
    for shift in range(0, 4096, 16):  # some of these lie across the border of two pages
        database.execute("INSERT INTO message VALUES (?, ?, 'y')", (shift, os.urandom(shift) + SECRET))
    database.commit()
    database.close()
    found = search(of_secret("key", SECRET), relay, [log])
    assert sum(one.where == "relay.sqlite, table message" for one in found) == 256


@pytest.mark.parametrize("form", ["reals", "integers", "packed"])
def test_a_leaked_vector_is_found_in_each_form(relay: Path, log: Path, form: str) -> None:
    values = quantize(vector(), SCHEMA).values
    leaked = {
        "reals": vector().tobytes(),
        "integers": values.tobytes(),
        "packed": packing.pack(ring.embed(values, SCHEMA.ring_bits), SCHEMA.ring_bits),
    }[form]
    (relay / "blobs" / "two").write_bytes(b"\x07" * 3 + leaked)
    found = search(of_vector("vector", vector(), SCHEMA), relay, [log])
    assert found
    assert all(form in sighting.what for sighting in found)


def test_a_part_of_a_vector_is_enough(relay: Path, log: Path) -> None:
    (relay / "blobs" / "two").write_bytes(vector()[20:60].tobytes())
    assert search(of_vector("vector", vector(), SCHEMA), relay, [log])


def test_a_search_that_could_find_nothing_is_refused(relay: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs canaries"):
        search([], relay, [])
    with pytest.raises(ValueError, match="something to search"):
        search(of_secret("key", SECRET), tmp_path / "nowhere", [])
