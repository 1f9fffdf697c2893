"""The commands that keep a coordinator alive: standby, backup, restore."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from coordinator.commands.options import AsJson, Config, Data
from coordinator.session.config import CoordinatorConfig
from coordinator.session.session import Session, in_office, passphrase
from relay.service.command import report

ADMIN_PORT = 8461


def standby(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Watch this coordinator's runs, and take over any run whose process has died.

    A second machine needs the same identity in a folder of its own: create it with backup and restore.
    """
    from coordinator.commands.admin import admin_port  # noqa: PLC0415  # Numba is loaded by runs alone
    from coordinator.runs.standby import Standby  # noqa: PLC0415
    from relay.service import systemd  # noqa: PLC0415
    from relay.service.signals import stop_requested  # noqa: PLC0415

    async def work(office: Session) -> None:
        stop = stop_requested()
        async with admin_port(office, ADMIN_PORT) as port:
            if as_json:
                sys.stdout.write(json.dumps({"event": "ready", "admin_port": port}) + "\n")
                sys.stdout.flush()
            async with systemd.watched():
                await Standby(office).watch(stop)

    in_office(data, config, work)


def backup(
    target: Annotated[Path, typer.Argument(help="file to write; it must not exist yet")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write identity, runs and results to a file sealed under the identity's passphrase; epoch state is left out."""
    from coordinator.runs.backup import make  # noqa: PLC0415

    settings = CoordinatorConfig.load(data=data, config=config)
    facts = make(settings, passphrase(settings), target)
    report(facts, f"{facts['runs']} runs in {facts['file']}", as_json=as_json)


def restore(
    source: Annotated[Path, typer.Argument(help="file written by `backup`")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into an empty data folder; `resume RUN` continues open runs from their checkpoints."""
    from coordinator.runs.backup import restore as put_back  # noqa: PLC0415

    settings = CoordinatorConfig.load(data=data, config=config)
    facts = put_back(settings, passphrase(settings), source)
    made = datetime.fromtimestamp(facts["made"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"{facts['runs']} runs, as of {made}", *(f"open; continue it with: resume {run}" for run in facts["open"])]
    report(facts, "\n".join(lines), as_json=as_json)


COMMANDS = (standby, backup, restore)
