"""`secagg-relay move`: needs the driver that only PostgreSQL's users have."""

from typing import Annotated

import typer
from pydantic import SecretStr

from relay.server.backup import move as moving
from relay.server.commands.options import RelayOptions
from relay.service.command import Commands

app = Commands()


@app.command("move")
def move(
    to: Annotated[str, typer.Option(help="postgresql://user@host/name: an empty database; see also PGPASSFILE")],
    common: RelayOptions,
) -> None:
    """Copy the SQLite database of a stopped relay to PostgreSQL and compare every row; payloads stay in place."""
    source = common.settings()
    moved = moving.move(source, source.model_copy(update={"database": SecretStr(to)}))
    rows = sum(table.rows for table in moved)
    facts = {table.name: {"rows": table.rows, "hash": table.digest.hex()} for table in moved}
    common.report({"tables": facts, "rows": rows}, f"{rows} rows moved and compared; now set: database")
