"""No secret reaches the output, whoever logs it and however."""

import io
import json
import logging
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from relay.service import logs
from secagg.codec import Hash, Record, record


@pytest.fixture
def lines(monkeypatch):
    """The lines that were logged, as objects; logging is set back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure("test", level="debug", json=True)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.mark.parametrize("name", ["token", "join_token", "SEED", "passphrase", "frame", "nonce", "signature", "vector"])
def test_secret_names_are_replaced(lines, name):
    logs.logger("x").info("event", **{name: "hunter2"}, inner={name: "hunter2", "fine": 1})
    (line,) = lines()
    assert line[name] == logs.REDACTED
    assert line["inner"] == {name: logs.REDACTED, "fine": 1}


@record
class Secret(Record):
    value: Hash


def test_bytes_and_objects_are_not_printed(lines):
    logs.logger("x").info(
        "event",
        raw=b"hunter2",
        many=[b"hunter2", bytearray(b"hunter2"), memoryview(b"hunter2")],
        object=Secret(value=b"hunter2" * 4 + b"1234"),
        path=Path("/data"),
        run=UUID(int=1),
        frame_bytes=7,
        nothing=None,
    )
    (line,) = lines()
    assert line["raw"] == "<7 bytes>"
    assert line["many"] == ["<7 bytes>"] * 3
    assert line["object"] == "<Secret>"
    assert (line["path"], line["run"], line["frame_bytes"], line["nothing"]) == ("/data", str(UUID(int=1)), 7, None)
    assert "hunter2" not in json.dumps(line)


def test_an_exception_shows_no_local_variables(lines):
    def fail(secret: str) -> None:
        raise ValueError(f"what was wrong with {len(secret)} characters")

    try:
        fail("hunter2")
    except ValueError:
        logs.logger("x").exception("failed")
    (line,) = lines()
    assert "what was wrong with 7 characters" in line["exception"]
    assert "secret = " not in line["exception"]  # a renderer of tracebacks with variables would say so


def test_libraries_log_the_same_way(lines):
    logging.getLogger("some.library").warning("odd thing: %s", 5)
    (line,) = lines()
    assert (line["event"], line["level"], line["service"]) == ("odd thing: 5", "warning", "test")


def test_bound_fields_and_level(lines):
    log = logs.logger("x")
    with logs.bind(request="r1", run="u1"):
        log.info("inside")
    log.info("outside")
    logs.set_level("error")
    assert logs.current_level() == "error"
    log.info("hidden")
    log.error("shown")
    inside, outside, shown = lines()
    assert (inside["request"], inside["run"]) == ("r1", "u1")
    assert "request" not in outside
    assert shown["event"] == "shown"
    with pytest.raises(ValueError, match="LOUD"):
        logs.set_level("loud")


def test_a_line_for_people(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("test", json=False)
    logs.logger("x").info("hello", token="hunter2")
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    assert "hello" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
