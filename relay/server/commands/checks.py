"""Checks a relay and its machine: what is wrong and how to fix it, before it becomes an incident.

Each check stands alone, so that something unconfigured or unreachable is just another finding.
"""

import asyncio
import platform
import resource
import shutil
import socket
import sqlite3
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import sqlalchemy
from sqlalchemy import func, select, text

from relay.server.core.checkpoint import KEY_FILE
from relay.server.core.config import FILE_NAME, RelayConfig
from relay.server.payloads.folder import BlobFolder
from relay.server.store import audit, checkpoints, migrate, milestones, probe, schema
from relay.server.store.offline import on_database, over_view
from relay.service import checkup
from relay.service.checkup import Check, document, finding
from relay.service.dates import expiry
from secagg import __version__
from secagg.errors import SecaggError

__all__ = ["Check", "document", "examine"]

_DAY_S = 86_400
_BACKUP_AGE_S = 26 * 3600
_FILES_BESIDE_CONNECTIONS = 200
_MEMORY_BYTES = 512 << 20
_PROTECTED = ("fsync", "full_page_writes", "synchronous_commit")


def examine(settings: RelayConfig) -> list[Check]:
    """Return all findings; a check that raises is a finding as well."""
    return checkup.look_over(settings, _CHECKS, (SecaggError, OSError, sqlite3.Error, sqlalchemy.exc.SQLAlchemyError))


# The folder and its disk


def _data_folder(settings: RelayConfig) -> Check:
    data = settings.data
    return finding(
        data.is_dir(), str(data), f"create it with secagg-relay migrate --data {data}, or give the right folder"
    )


def _data_folder_private(settings: RelayConfig) -> Check:
    return checkup.folder_private(settings.data)


def _files_private(settings: RelayConfig) -> Check:
    return checkup.files_private(settings.data)


def _disk_space(settings: RelayConfig) -> Check:
    return checkup.disk_space(settings.data)


def _disk_reserve(settings: RelayConfig) -> Check:
    free = shutil.disk_usage(settings.data).free
    remedy = "below this reserve the relay accepts no payloads; free space, or lower disk_reserve_bytes"
    return finding(free > settings.disk_reserve_bytes, f"{settings.disk_reserve_bytes} bytes are reserved", remedy)


def _disk_entries(settings: RelayConfig) -> Check:
    return checkup.disk_entries(settings.data)


def _file_system(settings: RelayConfig) -> Check:
    return checkup.file_system(settings.data)


def _disk_writable(settings: RelayConfig) -> Check:
    return checkup.disk_writable(settings.data)


# The database


def _database(settings: RelayConfig) -> Check:
    kind = "SQLite" if settings.database is None else "PostgreSQL"
    version = over_view(settings, lambda db: ".".join(map(str, db.dialect.server_version_info or ())))
    return finding(True, f"{kind} {version}")


def _database_schema(settings: RelayConfig) -> Check:
    over_view(settings, migrate.require)
    return finding(True, f"schema {migrate.REVISION}, that of this release")


def _database_writable(settings: RelayConfig) -> Check:
    began = time.monotonic()
    on_database(settings, lambda db: probe.write(db, now=time.time()))
    took = time.monotonic() - began
    return finding(took < 1, f"a write took {took * 1000:.0f} ms", "the database is slow; runbook: RelayUnavailable")


def _database_integrity(settings: RelayConfig) -> Check:
    if settings.database is not None:
        return finding(True, "PostgreSQL checks its own pages; see pg_amcheck")
    try:
        with closing(sqlite3.connect(f"file:{settings.data / FILE_NAME}?mode=ro", uri=True)) as db:
            (said,) = db.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    return finding(said == "ok", said, "stop the relay and restore the last backup; runbook: DiskFails")


def _database_references(settings: RelayConfig) -> Check:
    if settings.database is not None:
        return finding(True, "PostgreSQL enforces them")
    with closing(sqlite3.connect(f"file:{settings.data / FILE_NAME}?mode=ro", uri=True)) as db:
        orphans = len(db.execute("PRAGMA foreign_key_check").fetchall())
    return finding(not orphans, f"{orphans} rows violate a foreign key", "stop the relay and restore the last backup")


def _database_durable(settings: RelayConfig) -> Check:
    if settings.database is None:
        with closing(sqlite3.connect(f"file:{settings.data / FILE_NAME}?mode=ro", uri=True)) as db:
            (mode,) = db.execute("PRAGMA journal_mode").fetchone()
        return finding(mode == "wal", f"journal mode {mode}", "start the relay once; it sets the mode")
    found = over_view(settings, lambda db: {name: db.scalar(text(f"SHOW {name}")) for name in _PROTECTED})
    weak = sorted(name for name, value in found.items() if value == "off")
    return finding(
        not weak, f"off: {', '.join(weak) or 'none'}", "turn them on: whatever the relay acknowledges must be durable"
    )


def _payloads(settings: RelayConfig) -> Check:
    from relay.server.backup.make import describe  # noqa: PLC0415  # needs age, which other checks do not

    if settings.objects is not None:
        return finding(True, "in an object store, which is responsible for them")
    found = over_view(settings, describe).payloads
    blobs = BlobFolder(settings.data / "blobs")
    missing = [payload for payload in found if not asyncio.run(blobs.holds(payload.id))]
    return finding(not missing, f"{len(missing)} of {len(found)} complete payloads are missing", "runbook: DiskFails")


# Audit log, backups


def _audit_log(settings: RelayConfig) -> Check:
    return finding(True, f"{over_view(settings, audit.verify)} entries, chain intact")


def _audit_key(settings: RelayConfig) -> Check:
    path = settings.data / KEY_FILE
    if not path.exists():
        return finding(
            False, f"{path.name} is missing", "the first start creates it; after that, restore it from a backup"
        )
    return finding(not path.stat().st_mode & 0o077, str(path), f"chmod 600 {path}")


def _audit_signed(settings: RelayConfig) -> Check:
    latest = over_view(settings, checkpoints.latest)
    if latest is None:
        return finding(False, "no checkpoint has been signed", "start the relay; it signs one within a minute")
    age = time.time() - latest.at_ms / 1000
    recent = age < 600 or not _serves(settings)
    return finding(recent, f"signed {_ago(age)}", "the relay is running but not signing; runbook: AuditUnsigned")


def _audit_verified(settings: RelayConfig) -> Check:
    return _recent(settings, milestones.AUDIT_VERIFIED, 50 * 3600, "enable secagg-relay-audit.timer")


def _backup_recent(settings: RelayConfig) -> Check:
    return _recent(
        settings, milestones.BACKUP, _BACKUP_AGE_S, "enable secagg-relay-backup.timer; runbook: BackupOverdue"
    )


def _recent(settings: RelayConfig, name: str, limit_s: float, remedy: str) -> Check:
    at = over_view(settings, milestones.reached).get(name)
    if at is None:
        return finding(False, "never", remedy)
    age = time.time() - at
    return finding(age < limit_s, _ago(age), remedy)


def _backup_settings(settings: RelayConfig) -> Check:
    whole = settings.backup_to is not None and settings.backup_recipients
    remedy = (
        "set backup_to and backup_recipients; generate the key pair on another machine with: secagg-relay backup-key"
    )
    return finding(whole, f"to {settings.backup_to}, {len(settings.backup_recipients)} recipients", remedy)


def _backup_place(settings: RelayConfig) -> Check:
    to = settings.backup_to
    if to is None or not to.exists():
        return finding(False, f"folder {to} does not exist", "create it on a different disk from the data")
    same = to.stat().st_dev == settings.data.stat().st_dev
    return finding(
        not same,
        f"{to}, {'the same' if same else 'another'} disk",
        "one failing disk would take both; use another disk",
    )


def _backup_tools(settings: RelayConfig) -> Check:
    if settings.database is None:
        return finding(True, "not needed with SQLite")
    missing = [name for name in ("pg_dump", "pg_restore") if shutil.which(name) is None]
    return finding(not missing, f"missing: {', '.join(missing) or 'none'}", "install PostgreSQL's client programs")


# Network


def _serving(settings: RelayConfig) -> Check:
    if _serves(settings):
        return finding(True, f"a relay responds at {settings.admin_host} port {settings.admin_port}")
    return finding(False, "no relay responds at the admin port", "systemctl start secagg-relay; runbook: RelayDown")


def _ready(settings: RelayConfig) -> Check:
    status, said = _ask(settings, "readyz")
    return finding(status == 200, said or "no response", "runbook: RelayNotReady")


def _public_port(settings: RelayConfig) -> Check:
    return _port(settings.host, settings.port, _serves(settings))


def _admin_port(settings: RelayConfig) -> Check:
    return _port(settings.admin_host, settings.admin_port, _serves(settings))


def _admin_port_private(settings: RelayConfig) -> Check:
    remedy = "it has no password: bind it to 127.0.0.1, or to a network that only the monitoring can reach"
    return finding(settings.admin_host in {"127.0.0.1", "::1", "localhost"}, settings.admin_host, remedy)


def _port(host: str, port: int, serves: bool) -> Check:
    if port == 0:
        return finding(True, "any free one")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe_:
        probe_.settimeout(2)
        answers = probe_.connect_ex((_reachable(host), port)) == 0
    if answers == serves:
        return finding(True, f"{host} port {port} {'is served' if answers else 'is free'}")
    remedy = (
        "the relay is not reachable there" if serves else f"stop it, or choose another port: ss -ltnp 'sport = :{port}'"
    )
    return finding(
        False, f"{host} port {port} {'is used by another program' if answers else 'does not respond'}", remedy
    )


def _serves(settings: RelayConfig) -> bool:
    return _ask(settings, "livez")[0] == 200


def _ask(settings: RelayConfig, path: str) -> tuple[int, str]:
    return checkup.ask_admin(_reachable(settings.admin_host), settings.admin_port, path)


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound


# TLS


def _tls(settings: RelayConfig) -> Check:
    certificate = settings.certificate()
    if certificate is not None:
        return finding(True, "certificate and key match")
    local = settings.host in {"127.0.0.1", "::1", "localhost"}
    remedy = "sites refuse plain http to other machines: set tls_certificate and tls_key, or put a TLS proxy in front"
    return finding(local, f"none, and the relay listens on {settings.host}", remedy)


def _tls_expiry(settings: RelayConfig) -> Check:
    certificate = settings.certificate()
    if certificate is None:
        return finding(True, "no certificate configured")
    left_s = (certificate.expires - datetime.now(UTC)).total_seconds()
    return finding(left_s > 21 * _DAY_S, expiry(left_s), "renew it; runbook: CertificateExpires")


def _tls_key_private(settings: RelayConfig) -> Check:
    if settings.tls_key is None:
        return finding(True, "no key configured")
    return finding(not settings.tls_key.stat().st_mode & 0o007, str(settings.tls_key), f"chmod o= {settings.tls_key}")


# Machine and process


def _clock(settings: RelayConfig) -> Check:
    del settings
    return checkup.clock_kept()


def _clock_goes_forward(settings: RelayConfig) -> Check:
    newest = over_view(settings, lambda db: db.scalar(select(func.max(schema.audit.c.at_ms)))) or 0
    ahead = newest / 1000 - time.time()
    return finding(
        ahead < 5, f"the audit log is {max(ahead, 0):.0f} s ahead of the clock", "the clock was set back; correct it"
    )


def _open_files(settings: RelayConfig) -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + _FILES_BESIDE_CONNECTIONS
    remedy = f"LimitNOFILE={needed} or more in the unit (this shows the shell's limit), or lower max_connections"
    return finding(
        soft == resource.RLIM_INFINITY or soft >= needed, f"{soft} (at most {hard}), {needed} needed", remedy
    )


def _core_dumps(settings: RelayConfig) -> Check:
    del settings
    return checkup.core_dumps_off()


def _memory(settings: RelayConfig) -> Check:
    del settings
    return checkup.memory_free(_MEMORY_BYTES, "a thousand sites need 400 MiB")


def _user(settings: RelayConfig) -> Check:
    del settings
    return checkup.own_user()


def _versions(settings: RelayConfig) -> Check:
    del settings
    seen = f"secagg {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    new_enough = sys.version_info >= (3, 11) and sqlite3.sqlite_version_info >= (3, 35)
    return finding(new_enough, f"{seen}, {ssl.OPENSSL_VERSION}", "install at least Python 3.11 and SQLite 3.35")


def _ago(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours ago" if seconds > 3600 else f"{seconds:.0f} seconds ago"


_CHECKS: tuple[Callable[[RelayConfig], Check], ...] = (
    _data_folder, _data_folder_private, _files_private, _disk_space, _disk_reserve, _disk_entries, _file_system,
    _disk_writable, _database, _database_schema, _database_writable, _database_integrity, _database_references,
    _database_durable, _payloads, _audit_log, _audit_key, _audit_signed, _audit_verified, _backup_settings,
    _backup_place, _backup_tools, _backup_recent, _serving, _ready, _public_port, _admin_port, _admin_port_private,
    _tls, _tls_expiry, _tls_key_private, _clock, _clock_goes_forward, _open_files, _core_dumps, _memory, _user,
    _versions,
)  # fmt: skip
