"""What the operating system refused, in words for people: what, where, and what to do."""

import errno
import traceback
from pathlib import Path

_SAID = {
    errno.ENOENT: "there is no file {place}",
    errno.EACCES: "{place} may not be read or written by this user: check its owner and mode",
    errno.EPERM: "{place} may not be changed by this user: check its owner and mode",
    errno.EISDIR: "{place} is a folder, not a file",
    errno.ENOTDIR: "{place}: a part of this path is a file, not a folder",
    errno.EEXIST: "{place} exists already",
    errno.ENOSPC: "no space is left on the disk of {place}",
    errno.EDQUOT: "the disk quota of this user is used up: {place}",
    errno.EROFS: "{place} lies on a disk that is mounted read-only",
}


def in_words(error: OSError) -> str:
    """Say what was refused and where; a time-out may have no message, in which case its origin says more."""
    if error.filename and error.errno in _SAID:
        return _SAID[error.errno].format(place=error.filename)
    said = error.strerror or str(error)
    if not said:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}, line {frame.lineno})"
    return f"{said}: {error.filename}" if error.filename else said
