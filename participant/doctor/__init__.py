"""Looking over a site: machine, holdings and the way to the relay, each check with its remedy and its kind.

The kinds are what an exit code can say to a script: of all checks that failed, the first in this order is the likely
cause of the others.
"""

import sqlite3
import ssl
from collections.abc import Callable
from enum import IntEnum

from participant.doctor import holdings, machine, network
from participant.doctor.look import Look
from participant.settings.config import ParticipantConfig
from relay.service import checkup
from relay.service.checkup import Check
from secagg.errors import SecaggError


class Kind(IntEnum):
    """What a check is about; the value is the exit code where it is the first that failed."""

    SETTINGS = 10
    PERMISSIONS = 11
    DISK = 12
    VERSIONS = 13
    MACHINE = 14
    CLOCK = 15
    IDENTITY = 16
    JOURNAL = 17
    DATASETS = 18
    POLICY = 19
    PROXY = 20
    DNS = 21
    CONNECTION = 22
    TLS = 23
    RELAY = 24
    PINS = 25
    DAEMON = 26


_EXPECTED = (SecaggError, OSError, sqlite3.Error, ssl.SSLError)
_CHECKS: tuple[tuple[Kind, Callable[[Look], Check]], ...] = (
    (Kind.SETTINGS, machine.settings), (Kind.SETTINGS, machine.settings_file_private),
    (Kind.PERMISSIONS, machine.data_folder), (Kind.PERMISSIONS, machine.data_folder_private),
    (Kind.PERMISSIONS, machine.files_private), (Kind.PERMISSIONS, machine.user),
    (Kind.DISK, machine.disk_space), (Kind.DISK, machine.disk_entries), (Kind.DISK, machine.disk_writable),
    (Kind.DISK, machine.file_system),
    (Kind.VERSIONS, machine.versions), (Kind.VERSIONS, machine.post_quantum), (Kind.VERSIONS, machine.kernels),
    (Kind.MACHINE, machine.memory), (Kind.MACHINE, machine.core_dumps), (Kind.MACHINE, machine.swap),
    (Kind.CLOCK, machine.clock),
    (Kind.IDENTITY, holdings.identity), (Kind.IDENTITY, holdings.passphrase),
    (Kind.JOURNAL, holdings.journal), (Kind.JOURNAL, holdings.epochs), (Kind.JOURNAL, holdings.anchor),
    (Kind.JOURNAL, holdings.outbox), (Kind.JOURNAL, holdings.ledger), (Kind.JOURNAL, holdings.backup),
    (Kind.DATASETS, holdings.datasets), (Kind.DATASETS, holdings.datasets_whole),
    (Kind.POLICY, holdings.policy), (Kind.POLICY, holdings.projects),
    (Kind.PROXY, network.proxy), (Kind.DNS, network.dns), (Kind.CONNECTION, network.connection),
    (Kind.TLS, network.tls), (Kind.TLS, network.certificate_expiry), (Kind.TLS, network.authority),
    (Kind.RELAY, network.relay), (Kind.CLOCK, network.clock_of_the_relay), (Kind.RELAY, network.enrolled),
    (Kind.RELAY, network.round_trip), (Kind.VERSIONS, network.relay_version),
    (Kind.PINS, holdings.pins),
    (Kind.DAEMON, machine.admin_port), (Kind.DAEMON, machine.daemon),
)  # fmt: skip


def examine(settings: ParticipantConfig) -> list[Check]:
    """Return all findings, in the order in which they depend on each other."""
    return checkup.look_over(Look(settings), [check for _, check in _CHECKS], _EXPECTED)


def unexamined(reason: str) -> list[Check]:
    """Return the findings where the settings cannot even be read: one that says why, the others not looked at."""
    first, *rest = (check.__name__.replace("_", "-") for _, check in _CHECKS)
    remedy = "mend the setting, or take it out: secagg-participant configure"
    after = "mend the settings first"
    return [Check(first, False, reason, remedy), *(Check(name, False, "not looked at", after) for name in rest)]


def exit_code(found: list[Check]) -> int:
    """Return 0 where all is well, else the kind of the first check that failed, by the order of the kinds."""
    return min((kind.value for (kind, _), check in zip(_CHECKS, found, strict=True) if not check.ok), default=0)
