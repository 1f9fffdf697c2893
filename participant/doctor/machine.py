"""Checks of settings, folder, machine and daemon."""

import platform
import socket
import sqlite3
import ssl
import sys
from contextlib import suppress
from pathlib import Path

from cryptography import __version__ as cryptography_version

from participant.doctor.look import Look
from participant.settings import settings_file as file
from relay.service import checkup
from relay.service.checkup import Check, finding
from secagg import __version__

_MEMORY_BYTES = 1 << 30
_HOST = "127.0.0.1"


def settings(look: Look) -> Check:
    """Are they valid, and do the files that they name serve?"""
    file.check(look.settings)
    named = bool(look.settings.relay)
    detail = f"the relay is {look.settings.relay}" if named else "no relay is named"
    return finding(named, detail, "secagg-participant configure --relay https://..., or: enroll --bundle FILE")


def settings_file_private(look: Look) -> Check:
    """Can others read it? A proxy's password may stand in it."""
    path = file.place(look.settings.config)
    if not path.is_file():
        return finding(True, f"there is none at {path}; the environment and the defaults hold")
    return finding(not path.stat().st_mode & 0o007, str(path), f"chmod o= {path}")


def data_folder(look: Look) -> Check:
    """Is it there?"""
    data = look.settings.data
    return finding(
        data.is_dir(), str(data), "secagg-participant enroll makes it; or name the right one: configure --data"
    )


def data_folder_private(look: Look) -> Check:
    return checkup.folder_private(look.settings.data)


def files_private(look: Look) -> Check:
    return checkup.files_private(look.settings.data)


def user(look: Look) -> Check:
    del look
    return checkup.own_user()


def disk_space(look: Look) -> Check:
    return checkup.disk_space(look.settings.data)


def disk_entries(look: Look) -> Check:
    return checkup.disk_entries(look.settings.data)


def disk_writable(look: Look) -> Check:
    return checkup.disk_writable(look.settings.data)


def file_system(look: Look) -> Check:
    return checkup.file_system(look.settings.data)


def versions(look: Look) -> Check:
    """Is everything as new as it has to be?"""
    del look
    seen = f"secagg {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    new_enough = sys.version_info >= (3, 11) and sqlite3.sqlite_version_info >= (3, 37)
    return finding(new_enough, f"{seen}, {ssl.OPENSSL_VERSION}", "needed are Python 3.11 and SQLite 3.37")


def post_quantum(look: Look) -> Check:
    """Has the installed library ML-KEM-768? Not every build has."""
    del look
    from secagg.keys import KeyAgreement  # noqa: PLC0415  # what is missing is this finding, and not an error at start

    with suppress(Exception):  # whatever a build without it raises
        return finding(bool(KeyAgreement(bytes(32), bytes(64))), f"cryptography {cryptography_version} has ML-KEM-768")
    remedy = "install the wheel of cryptography 48 or newer, which brings its own OpenSSL"
    return finding(False, f"cryptography {cryptography_version} has no ML-KEM-768", remedy)


def kernels(look: Look) -> Check:
    """Do the compiled kernels load, and by which path?"""
    del look
    from secagg.kernels.target import AES_VECTOR_BITS  # noqa: PLC0415  # Numba takes a second

    path = f"AES on vectors of {AES_VECTOR_BITS} bits" if AES_VECTOR_BITS else "AES by OpenSSL"
    return finding(True, f"masks by {path}")


def memory(look: Look) -> Check:
    del look
    return checkup.memory_free(_MEMORY_BYTES, "a daemon needs 300 MiB, and several times its largest dataset")


def core_dumps(look: Look) -> Check:
    del look
    return checkup.core_dumps_off()


def swap(look: Look) -> Check:
    """Can memory with keys get onto the disk?"""
    del look
    used = []
    with suppress(FileNotFoundError):  # not Linux
        lines = Path("/proc/swaps").read_text(encoding="utf-8").splitlines()[1:]
        used = [line.split()[0] for line in lines]
    open_ = [name for name in used if not name.startswith(("/dev/zram", "/dev/dm-"))]
    remedy = "MemorySwapMax=0 in the unit, as in participant/deploy; or encrypt the swap"
    return finding(not open_, f"swap that is not known to be encrypted: {', '.join(open_) or 'none'}", remedy)


def clock(look: Look) -> Check:
    del look
    return checkup.clock_kept()


def admin_port(look: Look) -> Check:
    """Is the port this daemon's, or free for it?"""
    port = look.settings.admin_port
    if port == 0:
        return finding(True, "any free one")
    status, said = checkup.ask_admin(_HOST, port, "livez")
    if status == 200 and '"alive"' in said:
        return finding(True, f"{_HOST} port {port} is served")
    with socket.socket() as probe:
        probe.settimeout(2)
        taken = probe.connect_ex((_HOST, port)) == 0
    remedy = f"end it, or choose another: configure --admin-port; who has it: ss -ltnp 'sport = :{port}'"
    return finding(not taken, f"{_HOST} port {port} is {'taken by another program' if taken else 'free'}", remedy)


def daemon(look: Look) -> Check:
    """Does it run, and can it work?"""
    status, said = checkup.ask_admin(_HOST, look.settings.admin_port, "readyz")
    remedy = "systemctl start secagg-participant; else see what it logs: journalctl -u secagg-participant"
    return finding(status == 200, said or f"no daemon answers at port {look.settings.admin_port}", remedy)
