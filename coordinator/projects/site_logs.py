"""Logs that sites sent about a run: sealed parcels that only this coordinator can open, merged by time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relay.client.parcels import Parcels
from relay.client.transport import RelayClient
from secagg.identity import Identity

NAME = "daemon.jsonl"
"""Name of the parcel that contains a site's log of a run."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a site's log: its time, site, event and further facts, as the site redacted it."""

    at: str
    site: str
    event: str
    facts: Mapping[str, Any]


async def received(relay: RelayClient, identity: Identity, run: UUID, names: Mapping[bytes, str]) -> list[LogLine]:
    """Return the lines of all logs that sites sent about a run, by time; repeated lines appear once.

    Args:
        relay: this coordinator's client.
        identity: identity that opens the parcels.
        run: ID of the run.
        names: names of the sites by key; parcels from other senders are ignored.
    """
    parcels = Parcels(relay, identity, run, leads=True)
    found: dict[tuple[str, str], LogLine] = {}
    last = 0
    while batch := await parcels.receive(last):
        last = batch[-1].id
        for parcel in batch:
            if parcel.name == NAME and parcel.fault is None and parcel.author in names:
                site = names[parcel.author]
                found |= {(site, text): _line(site, text) for text in parcel.text.decode(errors="replace").splitlines()}
    return sorted(found.values(), key=lambda line: (line.at, line.site))


def _line(site: str, text: str) -> LogLine:
    """Parse a line. A site may write anything; a line that is not a JSON object is shown unchanged."""
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        return LogLine("", site, _printable(text), {})
    at, event = str(facts.pop("timestamp", "")), str(facts.pop("event", ""))
    rest = {name: value for name, value in facts.items() if name not in {"run", "service"}}
    return LogLine(_printable(at), site, _printable(event), rest)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:1000]
