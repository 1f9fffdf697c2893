"""MongoDB for tests: a server that speaks its protocol, in another process, and `$type` for the one in memory."""

import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import mongomock.aggregate
from bson import Int64, ObjectId
from pymongo import MongoClient


class Mongo:
    """A server of nx-27017 on a folder, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self._port}"

    @property
    def client(self) -> "MongoClient[dict[str, Any]]":
        return MongoClient(self.url, serverSelectionTimeoutMS=20_000)

    def start(self) -> None:
        # One file for all databases: only there does its renameCollection reach the database that is meant.
        options = ["--db", self._folder / "mongo.db", "--single-db-compat", "--port", str(self._port)]
        options += ["--log-file", self._folder / "mongo.log", "--pid-file", self._folder / "mongo.pid"]
        with (self._folder / "mongo.out").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nx_27017.nx_27017", *options], stdout=out, stderr=out
            )
        with self.client as client:
            client.admin.command("ping")

    def kill(self) -> None:
        """Kill the server; twice does no harm."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def types_in_memory(monkeypatch: Any) -> None:
    """Teach mongomock the operator `$type` of aggregations."""
    parser = mongomock.aggregate._Parser
    parse = parser.parse

    def taught(self: Any, expression: Any) -> Any:
        if not isinstance(expression, dict) or expression.keys() != {"$type"}:
            return parse(self, expression)
        try:
            return _kind(parse(self, expression["$type"]))
        except KeyError:
            return "missing"

    monkeypatch.setattr(parser, "parse", taught)


def _kind(value: Any) -> str:
    kinds = {bool: "bool", Int64: "long", int: "int", float: "double", str: "string", datetime: "date", dict: "object"}
    return {type(None): "null", ObjectId: "objectId", **kinds}[type(value)]
