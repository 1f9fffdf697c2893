"""Private folders and files: what a daemon keeps is for its own user alone."""

import os
import stat
from pathlib import Path

from secagg.errors import ParameterError


def private_umask() -> None:
    """Let every file that this process makes be 0600 and every folder 0700."""
    os.umask(0o077)


def private_folder(path: Path) -> Path:
    """Return `path` as a folder of this user alone, made where it is missing.

    Raises:
        ParameterError: it is no folder, belongs to another user, or others may enter it.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise ParameterError(f"{path} belongs to another user; give this service a folder of its own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ParameterError(f"{path} is open to other users of this machine; run: chmod 700 {path}")
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a durable file of this user alone, which has its name, or takes another's place, only when it is whole."""
    fresh = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the entries of a folder durable: a new file is safe only when its name is."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
