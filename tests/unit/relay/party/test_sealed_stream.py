"""Sealed streams: what was written comes back, or nothing does."""

from io import BytesIO

import pytest

from relay.party import sealed
from relay.party.sealed import WrongPassphraseError
from relay.party.sealed_stream import PIECE, SealedReader, SealedWriter

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch) -> None:
    monkeypatch.setattr(sealed, "PASSES", 1)
    monkeypatch.setattr(sealed, "MEMORY_BYTES", 8 << 20)


def written(content: bytes) -> bytes:
    out = BytesIO()
    writer = SealedWriter(out, PASSPHRASE)
    for start in range(0, len(content), 700_001):
        writer.write(content[start : start + 700_001])
    writer.finish()
    return out.getvalue()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 5])
def test_any_length_comes_back_in_any_pieces(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    reader = SealedReader(BytesIO(written(content[:size])), PASSPHRASE)
    found = b""
    while piece := reader.read(300_007):
        found += piece
    assert found == content[:size]


def test_nothing_of_the_content_is_visible() -> None:
    assert b"canary" not in written(b"canary" * 1000)


def test_a_wrong_passphrase_opens_nothing() -> None:
    with pytest.raises(WrongPassphraseError, match="the passphrase is wrong"):
        SealedReader(BytesIO(written(b"x")), "another passphrase")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text[: -PIECE // 2],
        lambda text: text + b"x",
        lambda text: text[:-5] + bytes([text[-5] ^ 1]) + text[-4:],
        lambda text: text[: text.index(b"\n") + 10],
        lambda text: text[: text.index(b"\n") + 25 + PIECE + 17],  # whole pieces, without the last
        lambda text: b"{}\n" + text[text.index(b"\n") + 1 :],
        lambda _text: b"",
    ],
)
def test_a_changed_or_torn_stream_is_refused(change) -> None:
    file = BytesIO(change(written(b"y" * (PIECE + PIECE // 2 + 9))))
    with pytest.raises(WrongPassphraseError, match="changed"):
        SealedReader(file, PASSPHRASE).finish()
