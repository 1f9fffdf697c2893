"""Generates content in specs/: tables of the specification from the code, vectors from the independent reference.

`make vectors` runs this; CI runs it too and then expects no difference.
"""

import re
from pathlib import Path

from secagg import amendment, identity, params, receipts
from secagg.codec import Record, layout
from secagg.envelope import Frame
from secagg.messages import (
    MESSAGES,
    EncapsulationPackage,
    EncapsulationSlot,
    Listing,
    ProtocolMessage,
    ProvenShareSlot,
    SharePackage,
    ShareSlot,
)
from secagg.protocol.table import TABLE
from specs import bounds
from specs.model import disclosure
from specs.ref import vectors

SPECS = Path(__file__).parent
PAGES = (
    SPECS / "01-wire.md",
    SPECS / "02-protocol.md",
    SPECS / "05-receipts.md",
    SPECS / "model" / "disclosure.md",
)
_BLOCK = re.compile(r"(<!-- generated: ([^>]+) -->\n)(?:.*?<!-- end -->\n)?", re.DOTALL)


def main() -> None:
    for page in PAGES:
        page.write_text(filled(page.read_text()))
    vectors.write(SPECS / "vectors" / "v1")


def filled(page: str) -> str:
    """Return a page with its tables regenerated."""
    return _BLOCK.sub(_filled, page)


def _filled(block: re.Match[str]) -> str:
    return f"{block[1]}\n{_content(block[2].strip())}\n<!-- end -->\n"


def _content(what: str) -> str:
    if what == "transitions":
        return _transitions()
    if what == "disclosure":
        return disclosure.report()
    if what in (tables := dict(bounds.tables())):
        return tables[what]
    if what == "messages":
        parts: list[type[Record]] = [Listing, EncapsulationPackage, EncapsulationSlot, SharePackage, ShareSlot]
        parts.append(ProvenShareSlot)
        return "\n".join([_layout(kind) for kind in MESSAGES.values()] + [_layout(part) for part in parts])
    records: dict[str, type[Record]] = {
        "Frame": Frame,
        "Roster": identity.Roster,
        "Amendment": amendment.Amendment,
        "Schema": params.Schema,
        "Segment": params.Segment,
        "RunReceipt": receipts.RunReceipt,
        "Entry": receipts.Entry,
        **{f"receipts.{kind.__name__}": kind for kind in receipts.KINDS},
    }
    return "\n".join(_layout(records[name.strip()]) for name in what.split(","))


def _layout(kind: type[Record]) -> str:
    title = f"**{kind.__name__}**"
    if issubclass(kind, ProtocolMessage):
        title += f", kind {kind.KIND}{', sealed' if kind.SEALED else ''}"
    rows = "".join(f"| {name} | {wire.describe()} |\n" for name, wire in layout(kind))
    return f"{title}\n\n| field | form |\n|---|---|\n{rows}"


def _transitions() -> str:
    rows = "".join(
        f"| {_party(state.__module__)} | {state.__name__} | {kind.__name__} | "
        f"{'message' if issubclass(kind, ProtocolMessage) else 'local'} |\n"
        for state, kind in TABLE
    )
    return f"| party | state | takes | |\n|---|---|---|---|\n{rows}"


def _party(module: str) -> str:
    return "site" if "participant" in module else "coordinator"


if __name__ == "__main__":
    main()
