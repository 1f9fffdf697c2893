"""`secagg-relay migrate`."""

import asyncio

from relay.server.commands.options import RelayOptions
from relay.server.store import migrate as migration
from relay.service.command import Commands

app = Commands()


@app.command("migrate")
def migrate(common: RelayOptions) -> None:
    """Create or upgrade the database without serving. `serve` does the same before it starts listening."""
    before = asyncio.run(migration.prepare(common.settings()))
    now = migration.REVISION
    words = {None: f"nothing to do: the schema is {now}", "": f"created with schema {now}"}
    common.report({"from": before, "to": now}, words.get(before, f"upgraded from schema {before} to {now}"))
