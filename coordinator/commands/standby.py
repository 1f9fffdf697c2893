"""`secagg-coordinator standby`: a second process that watches the same runs."""

import json
import sys

from coordinator.commands.admin import admin_port
from coordinator.commands.options import CoordinatorOptions
from coordinator.runs.standby import Standby
from coordinator.session.session import Session, in_session
from relay.service import systemd
from relay.service.command import Commands
from relay.service.signals import stop_requested

ADMIN_PORT = 8461

app = Commands()


@app.command("standby")
def standby(common: CoordinatorOptions) -> None:
    """Watch this coordinator's runs, and take over any run whose process has died.

    A second machine needs the same identity in a folder of its own: create it with backup and restore.
    """

    async def work(session: Session) -> None:
        stop = stop_requested()
        async with admin_port(session, ADMIN_PORT) as port:
            if common.as_json:
                sys.stdout.write(json.dumps({"event": "ready", "admin_port": port}) + "\n")
                sys.stdout.flush()
            async with systemd.watched():
                await Standby(session).watch(stop)

    in_session(common.settings(), work)
