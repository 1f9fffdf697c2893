"""`secagg-relay compact`."""

import sqlite3
from contextlib import closing

from relay.server.commands.options import RelayOptions
from relay.server.core.config import FILE_NAME
from relay.server.core.serving import stopped
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands()


@app.command("compact")
def compact(common: RelayOptions) -> None:
    """Shrink a stopped relay's SQLite database once; from then on it shrinks by itself when runs are purged."""
    settings = common.settings()
    path = settings.data / FILE_NAME
    if settings.database is not None or not path.exists():
        raise ParameterError(f"{settings.data} contains no SQLite database; PostgreSQL is compacted by its autovacuum")
    with stopped(settings.data), closing(sqlite3.connect(path, isolation_level=None)) as db:
        before = path.stat().st_size
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    after = path.stat().st_size
    common.report({"before": before, "after": after}, f"{before} bytes before, {after} now")
