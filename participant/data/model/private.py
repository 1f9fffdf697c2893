"""Files that only their owner can use, mode 0600."""

import os
from pathlib import Path
from typing import TextIO


def private_file(path: Path) -> TextIO:
    """Create a text file that only its owner can read."""
    return open(path, "w", encoding="utf-8", newline="", opener=private)


def private(path: str, flags: int) -> int:
    """Open a file with mode 0600; an `opener` for `open`."""
    return os.open(path, flags, mode=0o600)
