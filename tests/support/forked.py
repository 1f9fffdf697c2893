"""Programs of this project as processes that begin where their imports are over.

`python -m relay`, `-m participant` and `-m coordinator` take a second or two of a core to load, and the tests start
them many hundreds of times. Here a server that has loaded everything forks instead; the child runs the program's
`__main__` with the arguments, environment, folder and files that it was to have. It is a child of the process that
asked, so that signals, `wait` and exit codes are the kernel's own. `take_over` makes `subprocess.Popen`, and so asyncio
too, do this; what a fork cannot give (another interpreter, a terminal, a variable that an import may read) starts as
ever, and so do the installed programs.

    python -m tests.support.forked DESCRIPTOR PACKAGE ...
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import inspect
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "relay": ("relay",),  # which never loads a compiler
    "participant": ("secagg", "relay", "participant", "coordinator"),
    "coordinator": ("secagg", "relay", "participant", "coordinator"),
}
"""What is loaded for each program."""
NOT_LOADED = ("secagg.he", "participant.trainers", "relay.server.store.migrations.env", "coordinator.demo")
READ_LATE = ("SECAGG_", "XDG_", "PYTEST_", "NOTIFY_", "WATCHDOG_", "DASK_", "_RJEM_")
"""Beginnings of variables that no import of a server reads; the last one is set by Polars when it is loaded."""
STREAMS = ("p2cread", "c2pwrite", "errwrite")  # a Popen's names for a child's stdin, stdout and stderr
PLAIN = {
    "preexec_fn": None, "pass_fds": (), "shell": False, "gid": None, "gids": None, "uid": None, "umask": -1,
    "start_new_session": False, "process_group": -1,
}  # fmt: skip
PR_SET_CHILD_SUBREAPER = 36

_execute_child = subprocess.Popen._execute_child
_signature = inspect.signature(_execute_child)
_environment: dict[str, str] = {}  # as it was when the servers' modules read it
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Server:
    """A process that has loaded packages, and forks."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket, self._lock = ours, threading.Lock()

    @classmethod
    @cache
    def of(cls, packages: Sequence[str]) -> "Server":
        """Return the server with these packages, started at the first time."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), *packages]
        process = subprocess.Popen(command, cwd=ROOT, env=_environment, pass_fds=[theirs.fileno()])
        theirs.close()
        atexit.register(process.wait)
        atexit.register(ours.close)  # which ends it; runs before the line above
        return cls(ours)

    @classmethod
    def beside(cls) -> "Server":
        """Return a server that has loaded what this process has: a fork of it."""
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            ours.close()
            _serve(theirs)
        theirs.close()
        return cls(ours)

    def fork(self, request: Mapping[str, Any], streams: Sequence[int]) -> int:
        """Start a program with these as its stdin, stdout and stderr; return the process ID of the new child."""
        body = json.dumps(request).encode()
        with self._lock:
            _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # whose parent has ended becomes a child of this process
            socket.send_fds(self._socket, [len(body).to_bytes(4)], streams)
            self._socket.sendall(body)
            answer = self._socket.recv(4)
            _prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        if not answer:
            raise OSError("the server of forks has ended")
        return int.from_bytes(answer)


def take_over() -> None:
    """From now on start this project's programs by a fork, where that gives the same."""
    if sys.platform == "linux":  # elsewhere no process adopts another
        _environment.update(os.environ)
        subprocess.Popen._execute_child = _start


def _start(process: subprocess.Popen, *arguments: Any) -> None:
    """Do what a Popen's method of another name does: start the child, and close its ends of the pipes."""
    asked = _signature.bind(process, *arguments).arguments
    if not _gives_the_same(asked):
        _execute_child(process, *arguments)
        return
    program, *words = asked["args"][2:]
    environment = dict(os.environ if asked["env"] is None else asked["env"])
    folder = os.fspath(asked["cwd"] or Path.cwd())
    request = {"program": program, "words": words, "environment": environment, "folder": folder}
    process.pid = Server.of(PACKAGES[program]).fork(request, _streams(asked))
    process._child_created = True
    process._close_pipe_fds(
        *(asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"))
    )


def _streams(asked: Mapping[str, Any]) -> list[int]:
    return [own if asked[name] == -1 else asked[name] for own, name in enumerate(STREAMS)]


def _gives_the_same(asked: Mapping[str, Any]) -> bool:
    """Tell whether a process as it is asked for is one that a fork can be."""
    args, environment = asked["args"], os.environ if asked["env"] is None else asked["env"]
    if not isinstance(args, list | tuple) or not all(isinstance(word, str) for word in args):
        return False
    return (
        list(args[:2]) == [sys.executable, "-m"]
        and args[2] in PACKAGES
        and all(asked[name] == usual for name, usual in PLAIN.items())
        and all(name.startswith(READ_LATE) for name, _ in environment.items() ^ _environment.items())
        and not any(os.isatty(stream) for stream in _streams(asked)[:2])
    )


def _serve(theirs: socket.socket) -> None:
    """Fork for each request, until the other side is gone."""
    while True:
        header, streams, *_ = socket.recv_fds(theirs, 4, 3)
        if not header:
            os._exit(0)
        body = b""
        while len(body) < int.from_bytes(header):
            body += theirs.recv(1 << 20)
        reading, writing = os.pipe()
        if (between := os.fork()) == 0:
            if program := os.fork():
                os.write(writing, program.to_bytes(4))
                os._exit(0)  # its child is now one of the process that asked
            _become(streams, **json.loads(body))
            return
        os.waitpid(between, 0)
        theirs.sendall(os.read(reading, 4))
        for descriptor in (*streams, reading, writing):
            os.close(descriptor)


def _become(
    streams: Sequence[int], program: str, words: Sequence[str], environment: Mapping[str, str], folder: str
) -> None:
    """Run a program as `python -m` would; its exit is that of the process."""
    for own, stream in enumerate(streams):
        os.dup2(stream, own)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from relay.service import crashpoints

    importlib.reload(crashpoints)  # reads a variable
    if (program, *words[:1]) == ("coordinator", "demo"):
        _start_from_here()
    sys.argv = [program, *words]
    runpy.run_module(program, run_name="__main__", alter_sys=True)
    sys.exit()  # from wherever the server was forked


def _start_from_here() -> None:
    """Let a program that starts others start them by forks of what it has loaded itself."""
    here = Server.beside()
    Server.of = lambda _: here
    take_over()


def _load(packages: Sequence[str]) -> None:
    for name in packages:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith(".__main__") and not module.name.startswith(NOT_LOADED):
                with contextlib.suppress(ImportError):  # of an extra that is not installed; a program says so itself
                    importlib.import_module(module.name)


if __name__ == "__main__":
    _load(sys.argv[2:])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.collect()
    gc.freeze()  # so that a child's collector does not touch, and so copy, what all share
    _serve(socket.socket(fileno=int(sys.argv[1])))
