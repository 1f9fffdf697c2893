"""The daemon's process: lock, admin port, signals."""

import json
import logging
import sys

from aiohttp import web

from participant.daemon import metrics
from participant.daemon.daemon import Daemon
from participant.policy.rules import Policy
from participant.records.ledger import TABLES
from participant.records.run_logs import RunLogs
from participant.settings.config import ParticipantConfig
from relay.party.journal import Journal
from relay.service import logs, systemd
from relay.service.admin import admin_app
from relay.service.signals import stop_requested
from secagg.identity import Identity


async def serve(config: ParticipantConfig, identity: Identity, *, announce: bool) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises:
        PolicyError: the policy file is missing or invalid; the daemon never falls back to another policy.
        JournalError: another daemon uses the data folder.
    """
    policy = Policy() if config.policy is None else Policy.read(config.policy)
    logs.configure("participant", level=config.log_level)
    kept = RunLogs(config.data)
    kept.setFormatter(logs.formatter("participant", as_json=True))
    logging.getLogger().addHandler(kept)
    stop = stop_requested()
    journal = Journal(config.data, TABLES, config.anchor)
    journal.lock()
    async with config.client(identity) as relay:
        daemon = Daemon(config, identity, journal, relay, policy)
        metrics.watch(daemon.registry, config, journal, relay)
        runner = web.AppRunner(admin_app(daemon.registry, daemon.readiness), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", config.admin_port).start()
        try:
            if announce:
                port = runner.addresses[0][1]
                sys.stdout.write(json.dumps({"event": "ready", "admin_port": port}) + "\n")
                sys.stdout.flush()
            async with systemd.watched():
                await daemon.run(stop)
        finally:
            logging.getLogger().removeHandler(kept)
            await runner.cleanup()
            journal.close()
