"""Command line, environment, secret file, TOML file, default: the first wins, and unknown settings are refused."""

import pytest
from pydantic import Field, SecretStr

from relay.server.core.config import RelayConfig
from relay.service.settings import Settings, SettingsError, service_config


class Example(Settings):
    model_config = service_config("example")

    size: int = Field(default=1, ge=0)
    passphrase: SecretStr = SecretStr("")


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_this(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "example.toml"
    path.write_text("size = 2\n")
    return path


def test_the_first_source_wins(toml, monkeypatch, tmp_path):
    secret = tmp_path / "size"
    secret.write_text("3\n")
    assert Example.load().size == 1
    assert Example.load(config=toml).size == 2
    monkeypatch.setenv("SECAGG_EXAMPLE_SIZE_FILE", str(secret))
    assert Example.load(config=toml).size == 3
    monkeypatch.setenv("SECAGG_EXAMPLE_SIZE", "4")
    assert Example.load(config=toml).size == 4
    assert Example.load(config=toml, size=5).size == 5
    assert Example.load(config=toml, size=None).size == 4  # not given on the command line


def test_the_file_may_be_named_by_the_environment_or_lie_in_its_usual_place(toml, monkeypatch, tmp_path):
    monkeypatch.setenv("SECAGG_EXAMPLE_CONFIG", str(toml))
    assert Example.load().size == 2
    monkeypatch.delenv("SECAGG_EXAMPLE_CONFIG")
    usual = tmp_path / "xdg" / "secagg"
    usual.mkdir(parents=True)
    (usual / "example.toml").write_text("size = 7\n")
    assert Example.load().size == 7


def test_a_secret_comes_from_a_file_and_is_not_printed(monkeypatch, tmp_path):
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    monkeypatch.setenv("SECAGG_EXAMPLE_PASSPHRASE_FILE", str(secret))
    settings = Example.load()
    assert settings.passphrase.get_secret_value() == "correct horse"
    assert "correct horse" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "name"),
    [("sise = 2", "sise"), ("size = 'many'", "size"), ("size = -1", "size"), ("size =", "not valid TOML")],
)
def test_what_is_wrong_is_named(toml, text, name):
    toml.write_text(text)
    with pytest.raises(SettingsError, match=name):
        Example.load(config=toml)


def test_a_wrong_value_is_not_shown(monkeypatch):
    monkeypatch.setenv("SECAGG_EXAMPLE_SIZE", "hunter2")
    with pytest.raises(SettingsError) as caught:
        Example.load()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_unknown_names_in_the_environment(monkeypatch):
    monkeypatch.setenv("SECAGG_EXAMPLE_SISE", "1")
    with pytest.raises(SettingsError, match="SECAGG_EXAMPLE_SISE"):
        Example.load()


def test_files_that_are_not_there(monkeypatch, tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        Example.load(config=tmp_path / "none.toml")
    monkeypatch.setenv("SECAGG_EXAMPLE_PASSPHRASE_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="none"):
        Example.load()


def test_the_relays_settings_are_described():
    for name, field in RelayConfig.model_fields.items():
        assert field.description, name
