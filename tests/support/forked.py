"""This project's programs as processes that start with their imports already done.

`python -m relay`, `-m participant` and `-m coordinator` take a second or two of CPU time to load, and the tests start
them many hundreds of times. Here a server that has loaded everything forks instead; the child runs the program's
`__main__` with the intended arguments, environment, folder and files. It becomes a child of the requesting process, so
that signals, `wait` and exit codes are the kernel's own. `take_over` makes `subprocess.Popen`, and thus also asyncio,
do this. Processes that a fork cannot replace (another interpreter, a terminal, a variable that an import may read)
start as usual, and so do the installed programs.

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
    "relay": ("relay",),  # it never loads a compiler
    "participant": ("secagg", "relay", "participant", "coordinator"),
    "coordinator": ("secagg", "relay", "participant", "coordinator"),
    "participant.daemon.computation": ("secagg", "relay", "participant", "coordinator"),
}
"""Packages that are loaded for each program."""
NOT_LOADED = ("secagg.he", "participant.trainers", "relay.server.store.migrations.env", "coordinator.demo")
READ_LATE = ("SECAGG_", "XDG_", "PYTEST_", "NOTIFY_", "WATCHDOG_", "DASK_", "_RJEM_")
"""Prefixes of variables that no server reads on import; Polars sets the last one when it is loaded."""
STREAMS = ("p2cread", "c2pwrite", "errwrite")  # Popen's names for the child's stdin, stdout and stderr
PLAIN = {
    "preexec_fn": None, "pass_fds": (), "shell": False, "gid": None, "gids": None, "uid": None, "umask": -1,
    "start_new_session": False, "process_group": -1,
}  # fmt: skip
PR_SET_CHILD_SUBREAPER = 36

_execute_child = subprocess.Popen._execute_child
_signature = inspect.signature(_execute_child)
_environment: dict[str, str] = {}  # as the servers' modules saw it when they were imported
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Server:
    """A process that has loaded packages, and forks on request."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket, self._lock = ours, threading.Lock()

    @classmethod
    @cache
    def of(cls, packages: Sequence[str]) -> "Server":
        """Return the server with these packages; it starts on the first call."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), *packages]
        process = subprocess.Popen(command, cwd=ROOT, env=_environment, pass_fds=[theirs.fileno()])
        theirs.close()
        atexit.register(process.wait)
        atexit.register(ours.close)  # ends the server; runs before the line above
        return cls(ours)

    @classmethod
    def beside(cls) -> "Server":
        """Return a server forked from this process, with everything that it has loaded."""
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
            _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # a process whose parent has ended becomes a child of this one
            socket.send_fds(self._socket, [len(body).to_bytes(4)], streams)
            self._socket.sendall(body)
            answer = self._socket.recv(4)
            _prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        if not answer:
            raise OSError("the server of forks has ended")
        return int.from_bytes(answer)


def take_over() -> None:
    """From now on, start this project's programs by a fork wherever that is equivalent."""
    if sys.platform == "linux":  # other systems have no subreapers
        _environment.update(os.environ)
        subprocess.Popen._execute_child = _start


def _start(process: subprocess.Popen, *arguments: Any) -> None:
    """Replace Popen's `_execute_child`: start the child, and close its ends of the pipes."""
    asked = _signature.bind(process, *arguments).arguments
    if not _gives_the_same(asked):
        _execute_child(process, *arguments)
        return
    program, *words = _module(asked["args"])
    environment = dict(os.environ if asked["env"] is None else asked["env"])
    folder = os.fspath(asked["cwd"] or Path.cwd())
    request = {"program": program, "words": words, "environment": environment, "folder": folder}
    process.pid = Server.of(PACKAGES[program]).fork(request, _streams(asked))
    process._child_created = True
    process._close_pipe_fds(
        *(asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"))
    )


def _module(args: Sequence[str]) -> list[str]:
    """Return the module that Python is asked to run and its arguments, or nothing."""
    words = [*args[1:]]
    if words[:1] == ["-P"]:  # what is loaded already came from nowhere else
        del words[0]
    return words[1:] if words[:1] == ["-m"] else []


def _streams(asked: Mapping[str, Any]) -> list[int]:
    return [own if asked[name] == -1 else asked[name] for own, name in enumerate(STREAMS)]


def _gives_the_same(asked: Mapping[str, Any]) -> bool:
    """Return whether a fork can replace the requested process."""
    args, environment = asked["args"], os.environ if asked["env"] is None else asked["env"]
    if not isinstance(args, list | tuple) or not all(isinstance(word, str) for word in args):
        return False
    return (
        args[0] == sys.executable
        and (_module(args) or [""])[0] in PACKAGES
        and all(asked[name] == usual for name, usual in PLAIN.items())
        and all(name.startswith(READ_LATE) for name, _ in environment.items() ^ _environment.items())
        and not any(os.isatty(stream) for stream in _streams(asked)[:2])
    )


def _serve(theirs: socket.socket) -> None:
    """Fork for each request until the other side has closed."""
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
                os._exit(0)  # the grandchild is now a child of the requesting process
            _become(streams, **json.loads(body))
            return
        os.waitpid(between, 0)
        theirs.sendall(os.read(reading, 4))
        for descriptor in (*streams, reading, writing):
            os.close(descriptor)


def _become(
    streams: Sequence[int], program: str, words: Sequence[str], environment: Mapping[str, str], folder: str
) -> None:
    """Run a program as `python -m` would; the process exits with it."""
    for own, stream in enumerate(streams):
        os.dup2(stream, own)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from relay.service import crashpoints

    importlib.reload(crashpoints)  # it reads a variable
    if (program, *words[:1]) in {("coordinator", "demo"), ("participant", "start")}:
        _start_from_here()
    sys.argv = [program, *words]
    if "." in program:
        del sys.modules[program]  # as it is in a process that has not loaded it yet
    runpy.run_module(program, run_name="__main__", alter_sys=True)
    sys.exit()  # unwinds from wherever the server was forked


def _start_from_here() -> None:
    """Make a program that starts others start them by forking what it has loaded itself."""
    here = Server.beside()
    Server.of = lambda _: here
    take_over()


def _load(packages: Sequence[str]) -> None:
    for name in packages:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith(".__main__") and not module.name.startswith(NOT_LOADED):
                with contextlib.suppress(ImportError):  # an extra is not installed; the program itself says so
                    importlib.import_module(module.name)


if __name__ == "__main__":
    _load(sys.argv[2:])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.collect()
    gc.freeze()  # so that a child's collector does not touch shared pages, which would copy them
    _serve(socket.socket(fileno=int(sys.argv[1])))
