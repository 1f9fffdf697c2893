"""The daemon's process: lock, admin port, signals."""

import asyncio
import json
import logging
import sys

from aiohttp import web

from participant.daemon import metrics
from participant.daemon.computation import Computation
from participant.daemon.daemon import Daemon
from participant.policy.rules import Policy
from participant.records.ledger import TABLES
from participant.records.run_logs import RunLogs
from participant.settings.config import ParticipantConfig
from relay.client.transport import RelayClient, RelayError, RelayUnavailableError
from relay.party.disk import opened
from relay.party.journal import Journal
from relay.service import logs, systemd
from relay.service.admin import admin_app
from relay.service.memory import Limits
from relay.service.ports import opening
from relay.service.signals import stop_requested
from secagg.errors import ParameterError
from secagg.identity import Identity

_ASK_S = 3.0


async def serve(config: ParticipantConfig, identity: Identity, *, announce: bool) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises:
        PolicyError: the policy file is missing or invalid; the daemon never falls back to another policy.
        JournalError: another daemon uses the data folder.
        ParameterError: the relay does not know this key.
    """
    policy = Policy() if config.policy is None else Policy.read(config.policy)
    logs.configure("participant", level=config.log_level)
    kept = RunLogs(config.data)
    kept.setFormatter(logs.formatter("participant", as_json=True))
    logging.getLogger().addHandler(kept)
    journal = await opened(config.data, lambda: _locked_journal(config))
    stop = stop_requested()
    limits = Limits(memory_mib=config.computation_memory_mib, minutes=config.computation_minutes)
    async with config.client(identity) as relay:
        await _check_enrolled(relay, config.relay)
        computation = Computation(limits)
        daemon = Daemon(config, identity, journal, relay, policy, computation)
        metrics.watch(daemon.registry, config, journal, relay)
        runner = web.AppRunner(admin_app(daemon.registry, daemon.readiness), access_log=None)
        await runner.setup()
        with opening("admin_port", config.admin_port):
            await web.TCPSite(runner, config.admin_host, config.admin_port).start()
        try:
            if announce:
                port = runner.addresses[0][1]
                sys.stdout.write(json.dumps({"event": "ready", "admin_port": port}) + "\n")
                sys.stdout.flush()
            async with systemd.watched():
                with computation:
                    await daemon.run(stop)
        finally:
            logging.getLogger().removeHandler(kept)
            await runner.cleanup()
            journal.close()


async def _check_enrolled(relay: RelayClient, address: str) -> None:
    """Refuse to wait for work that can never come. A relay that does not answer now may answer later."""
    try:
        await asyncio.wait_for(relay.sites(), _ASK_S)
    except RelayError as error:
        if error.type == "unknown-site":
            raise ParameterError(
                f"this site's key is not enrolled at {address}: run secagg-participant enroll with a token of that "
                "relay, or correct the setting relay"
            ) from None
    except (RelayUnavailableError, TimeoutError):
        pass


def _locked_journal(config: ParticipantConfig) -> Journal:
    journal = Journal(config.data, TABLES, config.anchor)
    try:
        journal.lock()
    except BaseException:
        journal.close()
        raise
    return journal
