"""Files and folders for one user: 0600 and 0700, and durable where that matters."""

import os
from pathlib import Path
from typing import TextIO


def private_file(path: Path) -> TextIO:
    """Create a text file that only its owner can read."""
    return open(path, "w", encoding="utf-8", newline="", opener=private)


def private(path: str, flags: int) -> int:
    """Open a file with mode 0600; for `open`'s opener."""
    return os.open(path, flags, mode=0o600)


def sync(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
