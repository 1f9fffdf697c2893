"""An S3 endpoint over real HTTP, in its own process."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.error import URLError
from urllib.request import Request, urlopen
from uuid import uuid4

START_S = 60


@dataclass(frozen=True)
class ObjectStore:
    """A running endpoint. `environment` has the variables that S3 clients read."""

    endpoint: str

    @classmethod
    @contextmanager
    def start(cls) -> Iterator["ObjectStore"]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            store = cls(f"http://127.0.0.1:{port}")
            try:
                store._await(process)
                yield store
            finally:
                process.kill()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT": self.endpoint,
        }

    def bucket(self) -> str:
        """Create a bucket and return its URL."""
        name = f"relay-{uuid4().hex}"
        with urlopen(Request(f"{self.endpoint}/{name}", method="PUT")):
            return f"s3://{name}/payloads"

    def _await(self, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                with urlopen(f"{self.endpoint}/moto-api/"):
                    return
            except URLError:
                assert process.poll() is None, "the endpoint did not start"
                assert time.monotonic() < deadline, "the endpoint does not answer"
                time.sleep(0.1)


def export(environment: dict[str, str], monkeypatch) -> None:
    """Set the variables that S3 clients read in this process."""
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, value)
