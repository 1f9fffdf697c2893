"""Checks of settings, data folder, machine and daemon."""

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
from participant.settings import settings_writer
from relay.service import checkup
from relay.service.checkup import Check, finding
from secagg import __version__
from secagg import kernels as kernels_of_secagg

_MEMORY_BYTES = 1 << 30
_HOST = "127.0.0.1"


def settings(look: Look) -> Check:
    """Are the settings valid, and are the files that they name usable?"""
    settings_writer.check(look.settings)
    named = bool(look.settings.relay)
    detail = f"the relay is {look.settings.relay}" if named else "no relay is configured"
    return finding(
        named,
        detail,
        "run secagg-participant configure --relay https://..., or secagg-participant enroll --bundle FILE",
    )


def settings_file_private(look: Look) -> Check:
    """Is the settings file hidden from other users? It may hold a proxy's password."""
    path = file.place(look.settings.config)
    if not path.is_file():
        return finding(True, f"there is none at {path}; the environment and the defaults apply")
    return finding(not path.stat().st_mode & 0o007, str(path), f"run: chmod o= {path}")


def data_folder(look: Look) -> Check:
    """Does the data folder exist?"""
    data = look.settings.data
    return finding(
        data.is_dir(), str(data), "secagg-participant enroll creates it; or name the right one: configure --data"
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
    """Are all versions recent enough?"""
    del look
    seen = f"secagg {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    new_enough = sys.version_info >= (3, 11) and sqlite3.sqlite_version_info >= (3, 37)
    return finding(new_enough, f"{seen}, {ssl.OPENSSL_VERSION}", "install Python 3.11 and SQLite 3.37, or newer")


def post_quantum(look: Look) -> Check:
    """Does the installed library offer ML-KEM-768? Not every build does."""
    del look
    from secagg.keys import KeyAgreement  # noqa: PLC0415  # a missing algorithm is a finding here, not an error at start

    with suppress(Exception):  # whatever a build without it raises
        return finding(
            bool(KeyAgreement(bytes(32), bytes(64))), f"cryptography {cryptography_version} offers ML-KEM-768"
        )
    remedy = "install the wheel of cryptography 48 or newer, which brings its own OpenSSL"
    return finding(False, f"cryptography {cryptography_version} lacks ML-KEM-768", remedy)


def kernels(look: Look) -> Check:
    """Do the compiled kernels load, and which code path do they use?"""
    del look
    bits = kernels_of_secagg.target.AES_VECTOR_BITS
    path = f"AES on {bits}-bit vectors" if bits else "OpenSSL's AES"
    return finding(True, f"masks use {path}")


def memory(look: Look) -> Check:
    del look
    return checkup.memory_free(_MEMORY_BYTES, "the daemon needs 300 MiB plus several times its largest dataset")


def core_dumps(look: Look) -> Check:
    del look
    return checkup.core_dumps_off()


def swap(look: Look) -> Check:
    """Can memory that holds keys reach an unencrypted disk?"""
    del look
    used = []
    with suppress(FileNotFoundError):  # not Linux
        lines = Path("/proc/swaps").read_text(encoding="utf-8").splitlines()[1:]
        used = [line.split()[0] for line in lines]
    open_ = [name for name in used if not name.startswith(("/dev/zram", "/dev/dm-"))]
    remedy = "set MemorySwapMax=0 in the unit, as in participant/deploy, or encrypt the swap"
    return finding(not open_, f"swap not known to be encrypted: {', '.join(open_) or 'none'}", remedy)


def clock(look: Look) -> Check:
    del look
    return checkup.clock_kept()


def admin_port(look: Look) -> Check:
    """Does this daemon use the port, or is it free?"""
    port = look.settings.admin_port
    if port == 0:
        return finding(True, "the daemon picks a free port")
    status, said = checkup.ask_admin(_HOST, port, "livez")
    if status == 200 and '"alive"' in said:
        return finding(True, f"{_HOST} port {port} is served")
    with socket.socket() as probe:
        probe.settimeout(2)
        taken = probe.connect_ex((_HOST, port)) == 0
    remedy = f"stop that program (find it with: ss -ltnp 'sport = :{port}'), or choose another: configure --admin-port"
    return finding(not taken, f"{_HOST} port {port} is {'taken by another program' if taken else 'free'}", remedy)


def daemon(look: Look) -> Check:
    """Is the daemon running and ready?"""
    status, said = checkup.ask_admin(_HOST, look.settings.admin_port, "readyz")
    remedy = "run systemctl start secagg-participant; if that fails, read its log: journalctl -u secagg-participant"
    return finding(status == 200, said or f"no daemon answers on port {look.settings.admin_port}", remedy)
