"""Structured logs on stderr that cannot leak a secret: JSON for machines, readable lines on a terminal.

Two rules apply before anything is written. A field whose name suggests a secret is replaced, and only plain values are
shown: bytes appear as their length and any other object as its type, so that nobody has to remember how a frame or a
key would be printed. `bind` adds the request or the run to every line of the current task.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from structlog.dev import plain_traceback
from structlog.typing import Processor

REDACTED = "[redacted]"
SECRET_NAMES = frozenset(
    {
        "authorization", "body", "content", "cookie", "frame", "key", "mask", "nonce", "passphrase", "password",
        "payload", "private", "seed", "secret", "share", "shares", "signature", "terms", "token", "vector", "words",
    }
)  # fmt: skip
_PLAIN = (str, int, float, bool, type(None))


def configure(service: str, *, level: str = "info", json: bool | None = None) -> None:
    """Send the logs of this process and its libraries to stderr.

    Args:
        service: name that appears in every line.
        level: lowest severity shown: debug, info, warning or error.
        json: whether to write one JSON object per line; None means JSON unless stderr is a terminal.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(service, as_json=as_json))
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it reports its plugins
    set_level(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(service),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter(service: str, *, as_json: bool) -> logging.Formatter:
    """Return the formatter that redacts and renders events; also for a service's additional handlers."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(service),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            _renderer(as_json=as_json),
        ],
    )


def _shared(service: str) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]


def set_level(level: str) -> None:
    """Change the lowest severity shown, at any time. Raises ValueError for an unknown level."""
    logging.getLogger().setLevel(level.upper())


def current_level() -> str:
    """Return the lowest severity shown."""
    return logging.getLevelName(logging.getLogger().level).lower()


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return log


def bind(**fields: str) -> AbstractContextManager[Any]:
    """Add fields, such as `request` or `run`, to every line that the current task logs inside the `with` block."""
    return structlog.contextvars.bound_contextvars(**fields)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace potential secrets. Runs last before rendering, so that nothing can be added after it."""
    for name, value in event.items():
        event[name] = REDACTED if _may_be_secret(name) else _printable(value)
    return event


def _may_be_secret(name: str) -> bool:
    return name.lower().rpartition("_")[2] in SECRET_NAMES  # matches `join_token`, but not `frame_bytes`, a size


def _printable(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (UUID, Path)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {str(name): REDACTED if _may_be_secret(str(name)) else _printable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_printable(item) for item in value]
    return f"<{type(value).__name__}>"


def _named(service: str) -> Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _renderer(*, as_json: bool) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(exception_formatter=plain_traceback)  # the rich one prints local variables
