"""Keys that ended after a backup was made: the operator lists them for the restore, which ends them again.

The backup cannot know that they ended. The file has one key per line, or is the output of `secagg-relay audit export`.
"""

import json
from pathlib import Path

from sqlalchemy import Connection

from relay.api.states import Ending
from relay.server.http.signatures import public_key
from relay.server.registry import endings
from relay.server.store import audit, sites
from secagg.errors import ParameterError

_ACTIONS = {f"site.{ending}": ending for ending in Ending}


def read(path: Path) -> dict[bytes, Ending]:
    """Return the keys listed in a file, with the way each of them ended; a key listed without it counts as `revoked`.

    Raises:
        ParameterError: a line is neither a key nor an entry of an exported log; the message says which.
    """
    found: dict[bytes, Ending] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        try:
            ended = _of_entry(json.loads(words)) if words.startswith("{") else (public_key(words), Ending.REVOKED)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ParameterError(f"{path}, line {number}: expected a key or a line of an exported audit log") from None
        if ended is not None:
            found[ended[0]] = ended[1]
    return found


def _of_entry(document: dict[str, dict[str, str]]) -> tuple[bytes, Ending] | None:
    if "checkpoint" in document:
        return None
    entry = document["entry"]
    ending = _ACTIONS.get(entry["action"])
    return None if ending is None else (public_key(entry["object"].removeprefix("site/")), ending)


def end(db: Connection, keys: dict[bytes, Ending], *, now: float) -> int:
    """End those of the keys that are valid and return how many; keys that were never enrolled here are skipped."""
    ended = 0
    for key, ending in sorted(keys.items()):
        row = sites.find(db, key)
        if row is not None and row.ended is None:
            endings.end(db, row, ending, actor=audit.OPERATOR, reason="ended after the backup was made", now=now)
            ended += 1
    return ended
