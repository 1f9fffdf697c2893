"""The settings of all programs, from the classes that read them."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from coordinator.session.config import CoordinatorConfig
from generated.markdown import code, table
from participant.settings.config import ParticipantConfig
from relay.server.core.config import RelayConfig
from relay.service.settings import Settings

SETTINGS: dict[str, type[Settings]] = {
    "relay": RelayConfig,
    "participant": ParticipantConfig,
    "coordinator": CoordinatorConfig,
}
INTRO = """\
# Settings

A setting is taken from the first of these places that has it: the command line, its environment variable, the file
named by that variable with `_FILE` appended, the TOML file (`--config`), the default. An unknown setting is an error.
"""


def page() -> str:
    """Return the page of all programs' settings."""
    return "\n".join([INTRO, *chain.from_iterable(_settings(name, home) for name, home in SETTINGS.items())])


def _settings(program: str, settings: type[Settings]) -> Iterator[str]:
    yield f"## secagg-{program}\n"
    yield f"Environment variables begin with `SECAGG_{program.upper()}_`.\n"
    fields = sorted(settings.model_fields.items())
    yield from table(
        ("setting", "default", "meaning"),
        [(code(name), _default(info), info.description or "") for name, info in fields],
    )


def _default(info: Any) -> str:
    if info.default is PydanticUndefined:
        return "the user's data folder" if info.default_factory else "none; required"
    shown = info.default.get_secret_value() if isinstance(info.default, SecretStr) else info.default
    return "" if shown is None or shown == () else code(shown)
