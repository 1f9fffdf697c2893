"""Recipe 36: no core is dumped, and another process of the same user cannot read a daemon's memory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# What a process imports it imports as root, who alone may read where the tests are installed.
PROGRAM = """
import os, sys, time
from relay.service.memory import keep_private
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
import ctypes
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a process is that began as this user: a change of users takes it away
if sys.argv[1] == "private":
    keep_private()
print("ready", flush=True)
time.sleep(60)
"""
LOOK = """
import os, sys
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
try:
    open(f"/proc/{sys.argv[1]}/mem", "rb").close()
except PermissionError:
    sys.exit(13)
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="it takes root to become another user"
)


def neighbours_look(kind: str) -> tuple[int, str, int]:
    """Start a process; returns what a neighbour's look at it gave, its limit of cores, and whether it dumped one."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, kind], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        look = subprocess.run([sys.executable, "-c", LOOK, str(process.pid)], check=False)
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        core = next(line for line in limits if line.startswith("Max core file size"))
        process.send_signal(signal.SIGABRT)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
        return look.returncode, core, os.WCOREDUMP(status)


def test_nobody_looks_into_a_private_process_and_it_leaves_no_core():
    look, core, dumped = neighbours_look("private")
    assert look == 13
    assert core.split()[4:6] == ["0", "0"]
    assert not dumped


def test_a_process_that_is_not_private_can_be_looked_into():
    """That the other test can fail, where the system itself does not forbid it (Yama)."""
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text().strip() != "0":
        pytest.skip("the system lets no process look into another")
    assert neighbours_look("open")[0] == 0
