"""A daemon's settings: command line, environment, secret files, TOML file, default; the first to set a value wins.

A service subclasses `Settings`, names itself with `service_config`, and adds fields. `load` reads everything and
rejects unknown keys: otherwise a mistyped key would silently leave a limit at its default.
"""

import os
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Self

from platformdirs import user_config_path, user_data_path
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from relay.service.system_errors import in_words
from secagg import complaints
from secagg.errors import ParameterError

_APPLICATION = "secagg"


class SettingsError(ParameterError):
    """A setting is unknown, missing or not allowed. The message names the setting and its source, never its value."""


def service_config(service: str) -> SettingsConfigDict:
    """Return the configuration of a service's settings class; its environment prefix is SECAGG_<SERVICE>_."""
    return SettingsConfigDict(
        env_prefix=f"{_APPLICATION}_{service}_".upper(),
        title=service,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # a value may be a secret under a mistyped name
    )


def default_data_folder(service: str) -> Path:
    """Return a service's default data folder."""
    return user_data_path(_APPLICATION) / service


def usual_file(service: str) -> Path:
    """Return the default path of a service's settings file."""
    return user_config_path(_APPLICATION) / f"{service}.toml"


class Settings(BaseSettings):
    """Base of the services' settings.

    The TOML file is `config`, or <service>.toml in the user's configuration folder if that exists. For every field the
    environment may instead name a file that holds the value, <PREFIX><FIELD>_FILE; use this for secrets.
    """

    config: Path | None = Field(default=None, description="TOML file with settings")
    log_level: str = Field(
        default="info", pattern="^(debug|info|warning|error)$", description="lowest severity that is logged"
    )

    @classmethod
    def load(cls, **command_line: Any) -> Self:
        """Read the settings; an argument that is None was not given on the command line.

        Raises:
            SettingsError: a value is not allowed, a key is unknown, or a named file cannot be read.
        """
        _refuse_unknown(cls, os.environ)
        try:
            return cls(**{name: value for name, value in command_line.items() if value is not None})
        except ValidationError as error:
            raise SettingsError("; ".join(_explain(cls, problem) for problem in error.errors())) from None
        except TOMLDecodeError as error:
            raise SettingsError(f"config: the file is not valid TOML: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings  # one file format and one mechanism for secrets are enough
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, _from_files(settings_cls, os.environ)),
            TomlConfigSettingsSource(settings_cls, toml_file=_toml_file(settings_cls, init_settings())),
        )


def _prefix(settings: type[BaseSettings]) -> str:
    return settings.model_config["env_prefix"]


def _toml_file(settings: type[BaseSettings], command_line: Mapping[str, Any]) -> Path | None:
    named = command_line.get("config") or os.environ.get(f"{_prefix(settings)}CONFIG")
    if named is None:
        usual = usual_file(str(settings.model_config["title"]))
        return usual if usual.is_file() else None
    path = Path(named)
    if not path.is_file():
        raise SettingsError(f"config: file {path} does not exist")
    return path


def _from_files(settings: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    values = {}
    for field in settings.model_fields:
        if path := environment.get(f"{_prefix(settings)}{field}_file".upper()):
            values[field] = _content(path, f"{_prefix(settings)}{field}_file".upper())
    return values


def _content(path: str, setting: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise SettingsError(f"{setting}: {in_words(error)}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{setting}: {path} is not text in UTF-8") from None


def _refuse_unknown(settings: type[BaseSettings], environment: Mapping[str, str]) -> None:
    known = {f"{_prefix(settings)}{field}".upper() for field in settings.model_fields}
    known |= {f"{name}_FILE" for name in known}
    unknown = sorted(name for name in environment if name.startswith(_prefix(settings)) and name not in known)
    if unknown:
        raise SettingsError(
            f"unknown settings in the environment: {', '.join(_meant(name, known) for name in unknown)}"
        )


def _meant(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{name} (did you mean {near[0]}?)" if near else name


def _explain(settings: type[BaseSettings], problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"]) or "settings"
    return complaints.in_words(name, problem, settings)
