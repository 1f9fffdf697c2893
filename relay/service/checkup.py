"""Checks of an installation: findings with their remedies, and the checks that apply to any machine.

Each check stands alone, so that something unconfigured or unreachable is just another finding.
"""

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from relay.service.clock import clock_synchronised

UNWELL = 2
"""Exit code if a check failed; 1 means that the command itself failed."""
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "tmpfs", "ramfs"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """A finding: what was checked, whether it is all right, what was seen, and what to do if it is not."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def finding(ok: object, detail: str, remedy: str = "") -> Check:
    """Return a finding named after the check that calls this."""
    return Check("", bool(ok), detail, remedy)


def look_over(place: T, checks: Sequence[Callable[[T], Check]], expected: tuple[type[Exception], ...]) -> list[Check]:
    """Return all findings. A check that raises one of the expected errors is a finding as well."""
    found = []
    for look in checks:
        name = look.__name__.strip("_").replace("_", "-")
        try:
            seen = look(place)
        except expected as error:
            seen = Check(name, ok=False, detail=str(error), remedy="fix the error shown, then run this again")
        found.append(Check(name, seen.ok, seen.detail, "" if seen.ok else seen.remedy))
    return found


def document(found: Sequence[Check]) -> dict[str, Any]:
    """Return the findings as a JSON document."""
    return {"checks": [asdict(check) for check in found]}


def show(found: Sequence[Check], *, as_json: bool) -> None:
    """Print the findings: one JSON object, or a table for people."""
    if as_json:
        sys.stdout.write(json.dumps(document(found)) + "\n")
        return
    table = Table("", "check", "found", "remedy")
    for check in found:
        table.add_row("ok" if check.ok else "!!", check.name, check.detail, check.remedy)
    Console().print(table)


# Checks for any machine


def folder_private(path: Path) -> Check:
    """Is the folder owned by this user and closed to all others?"""
    found = path.stat()
    mine = found.st_uid == os.geteuid()
    detail = f"mode {found.st_mode & 0o777:o}, user {found.st_uid}, running as user {os.geteuid()}"
    return finding(mine and not found.st_mode & 0o077, detail, f"chmod 700 {path}; run this as the service's user")


def files_private(path: Path) -> Check:
    """Can other users read any file in the folder?"""
    open_ = [entry.name for entry in path.iterdir() if entry.stat().st_mode & 0o077]
    return finding(not open_, f"open to others: {', '.join(sorted(open_)) or 'none'}", "run chmod go= on them")


def disk_space(path: Path) -> Check:
    """Is more than 15 % of the disk free?"""
    disk = shutil.disk_usage(path)
    detail = f"{disk.free / 2**30:.1f} GiB of {disk.total / 2**30:.1f} are free"
    return finding(disk.free > 0.15 * disk.total, detail, "free space or add a disk")


def disk_entries(path: Path) -> Check:
    """Does the file system have room for more files?"""
    found = os.statvfs(path)
    if not found.f_files:
        return finding(True, "this file system does not limit the number of files")
    remedy = "delete files, or move to another file system"
    return finding(found.f_favail > 0.05 * found.f_files, f"room for {found.f_favail} more files", remedy)


def file_system(path: Path) -> Check:
    """Does the file system keep the promises that SQLite relies on?"""
    kind = _file_system_of(path)
    remedy = "SQLite needs a local file system with a reliable fsync; use a local disk"
    return finding(kind not in NETWORK_FILE_SYSTEMS, kind or "unknown", remedy)


def _file_system_of(path: Path) -> str:
    best, kind = "", ""
    with suppress(FileNotFoundError):  # not Linux
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, place, named, *_ = line.split(" ")
            if path.resolve().is_relative_to(place) and len(place) >= len(best):
                best, kind = place, named
    return kind


def disk_writable(path: Path) -> Check:
    """Does a write become durable, and quickly?"""
    probe = path / ".doctor"
    began = time.monotonic()
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(handle, bytes(4096))
            os.fsync(handle)
        finally:
            os.close(handle)
    finally:
        probe.unlink(missing_ok=True)
    took = time.monotonic() - began
    return finding(
        took < 0.25, f"a durable write took {took * 1000:.0f} ms", "the disk is slow; find out what else uses it"
    )


def clock_kept() -> Check:
    """Does a time service keep the clock synchronised?"""
    kept = clock_synchronised()
    detail = f"the clock is {'' if kept else 'not '}synchronised, according to the kernel"
    return finding(kept, detail, "start chrony or systemd-timesyncd")


def core_dumps_off() -> Check:
    """Could a crash write this process's memory to disk?"""
    soft, _ = resource.getrlimit(resource.RLIMIT_CORE)
    return finding(soft == 0, f"limit {soft}", "set LimitCORE=0 in the unit, or ulimit -c 0 in the shell")


def memory_free(needed: int, why: str) -> Check:
    """Is this much memory available?"""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(FileNotFoundError):  # not Linux
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) << 10
    return finding(free > needed, f"{free >> 20} MiB are free", why)


def own_user() -> Check:
    """Does this process run as an unprivileged user?"""
    return finding(os.geteuid() != 0, f"user {os.geteuid()}", "run the service as its own user, not as root")


def ask_admin(host: str, port: int, path: str) -> tuple[int, str]:
    """Query a daemon's admin port; returns status and text, 0 if nothing responds."""
    place = f"[{host}]" if ":" in host else host
    try:
        with urlopen(f"http://{place}:{port}/{path}", timeout=3) as answer:  # http, fixed
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode(errors="replace")[:200]
    except (OSError, ValueError):
        return 0, ""
