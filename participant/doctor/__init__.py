"""A site's health checks: machine, holdings and the path to the relay, each with its remedy and kind.

The exit code tells a script the kind of the first failed check, in the order of the kinds, since it is the likely
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


class CheckKind(IntEnum):
    """What a check is about; the value is the exit code when this kind fails first."""

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
_CHECKS: tuple[tuple[CheckKind, Callable[[Look], Check]], ...] = (
    (CheckKind.SETTINGS, machine.settings), (CheckKind.SETTINGS, machine.settings_file_private),
    (CheckKind.PERMISSIONS, machine.data_folder), (CheckKind.PERMISSIONS, machine.data_folder_private),
    (CheckKind.PERMISSIONS, machine.files_private), (CheckKind.PERMISSIONS, machine.user),
    (CheckKind.DISK, machine.disk_space), (CheckKind.DISK, machine.disk_entries),
    (CheckKind.DISK, machine.disk_writable), (CheckKind.DISK, machine.file_system),
    (CheckKind.VERSIONS, machine.versions), (CheckKind.VERSIONS, machine.post_quantum),
    (CheckKind.VERSIONS, machine.kernels),
    (CheckKind.MACHINE, machine.memory), (CheckKind.MACHINE, machine.core_dumps), (CheckKind.MACHINE, machine.swap),
    (CheckKind.CLOCK, machine.clock),
    (CheckKind.IDENTITY, holdings.identity), (CheckKind.IDENTITY, holdings.passphrase),
    (CheckKind.JOURNAL, holdings.journal), (CheckKind.JOURNAL, holdings.epochs), (CheckKind.JOURNAL, holdings.anchor),
    (CheckKind.JOURNAL, holdings.outbox), (CheckKind.JOURNAL, holdings.ledger), (CheckKind.JOURNAL, holdings.backup),
    (CheckKind.DATASETS, holdings.datasets), (CheckKind.DATASETS, holdings.datasets_whole),
    (CheckKind.POLICY, holdings.policy), (CheckKind.POLICY, holdings.projects),
    (CheckKind.PROXY, network.proxy), (CheckKind.DNS, network.dns), (CheckKind.CONNECTION, network.connection),
    (CheckKind.TLS, network.tls), (CheckKind.TLS, network.certificate_expiry), (CheckKind.TLS, network.authority),
    (CheckKind.RELAY, network.relay), (CheckKind.CLOCK, network.clock_of_the_relay),
    (CheckKind.RELAY, network.enrolled), (CheckKind.RELAY, network.round_trip),
    (CheckKind.VERSIONS, network.relay_version), (CheckKind.PINS, holdings.pins),
    (CheckKind.DAEMON, machine.admin_port), (CheckKind.DAEMON, machine.daemon),
)  # fmt: skip


def examine(settings: ParticipantConfig) -> list[Check]:
    """Run all checks and return their findings, in order of dependence."""
    return checkup.look_over(Look(settings), [check for _, check in _CHECKS], _EXPECTED)


def unexamined(reason: str) -> list[Check]:
    """Return the findings when the settings are unreadable: the first says why, the others are skipped."""
    first, *rest = (check.__name__.replace("_", "-") for _, check in _CHECKS)
    remedy = "correct or remove the setting: secagg-participant configure"
    after = "fix the settings first"
    return [Check(first, False, reason, remedy), *(Check(name, False, "not checked", after) for name in rest)]


def exit_code(found: list[Check]) -> int:
    """Return 0 if all is well, else the kind of the first failed check, in the order of the kinds."""
    return min((kind.value for (kind, _), check in zip(_CHECKS, found, strict=True) if not check.ok), default=0)
