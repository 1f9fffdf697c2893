"""Compressed text files: gzip, bzip2, xz, Zstandard, or the only file in a ZIP archive.

They are unpacked piece by piece as they are read, so memory does not grow with what they expand to.
"""

import bz2
import gzip
import lzma
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from participant.data.model.errors import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Packing = Literal["gzip", "bzip2", "xz", "zstd", "zip"]
SIGNS: dict[bytes, Packing] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
_DAMAGED = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile, NotImplementedError, RuntimeError
)  # fmt: skip


def packing(path: Path) -> Packing | None:
    """Return a file's compression, judged by its first bytes; None if there is none."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((kind for sign, kind in SIGNS.items() if head.startswith(sign)), None)


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file, unpacked if it is compressed, and the raw file, whose position shows the progress.

    Raises:
        SourceError: it is damaged, or an archive of several files.
    """
    kind = packing(path)
    with path.open("rb") as raw:
        if kind is None:
            yield raw, raw
            return
        try:
            if kind == "zip":
                with zipfile.ZipFile(raw) as archive, archive.open(_only(archive, path)) as file:
                    yield file, raw
            else:
                with {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open, "zstd": zstd.open}[kind](
                    raw, "rb"
                ) as file:  # type: ignore[operator]
                    yield file, raw
        except _DAMAGED:
            raise SourceError(f"{path.name} is damaged, encrypted or torn: not all of it can be unpacked") from None


def _only(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) != 1:
        raise SourceError(f"{path.name} holds {len(members)} files; unpack it and name one")
    return members[0]
