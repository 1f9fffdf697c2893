"""Private folders and files: a daemon's data is accessible to its own user only."""

import os
import stat
from pathlib import Path

from secagg.errors import ParameterError


def private_umask() -> None:
    """Create every file of this process with mode 0600 and every folder with 0700."""
    os.umask(0o077)


def private_folder(path: Path) -> Path:
    """Return `path` as a folder accessible to this user only, created if missing.

    Raises:
        ParameterError: it is not a folder, belongs to another user, or is accessible to others.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise ParameterError(f"{path} belongs to another user; give this service its own folder")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ParameterError(f"{path} is accessible to other users of this machine; run: chmod 700 {path}")
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a durable file, readable by this user only, that appears or replaces another only once complete."""
    fresh = path.with_name(f".{path.name}.new")
    _write(fresh, content, os.O_TRUNC)
    fresh.replace(path)
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Write a durable file, readable by this user only; raises FileExistsError rather than replace another."""
    _write(path, content, os.O_EXCL)
    sync_folder(path.parent)


def _write(path: Path, content: bytes, how: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make a folder's entries durable: a new file is only safe once its name is."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
