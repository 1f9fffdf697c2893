"""The participant's settings: on the command line, in SECAGG_PARTICIPANT_<NAME>, or in a TOML file."""

from pathlib import Path

from pydantic import Field, SecretStr

from relay.service.settings import Settings, default_data_folder, service_config


class ParticipantConfig(Settings):
    """Settings of `secagg-participant`. The passphrase is best given by SECAGG_PARTICIPANT_PASSPHRASE_FILE."""

    model_config = service_config("participant")

    relay: str = Field(default="", description="the relay's address, https://...")
    data: Path = Field(
        default_factory=lambda: default_data_folder("participant"), description="folder of identity, journal, datasets"
    )
    passphrase: SecretStr = Field(default=SecretStr(""), description="opens the identity key")
    ca_file: Path | None = Field(default=None, description="certificates that the relay's one must lead to")
    proxy: str | None = Field(default=None, description="HTTPS proxy, if not that of the environment")
    policy: Path | None = Field(default=None, description="TOML file with the site's rules; cautious ones by default")
    admin_port: int = Field(default=8451, ge=0, le=65535, description="port for health and metrics; 0 means any free")
    poll_s: float = Field(default=30, gt=0, le=30, description="longest wait for messages")
    invitations_s: float = Field(default=30, gt=0, description="time between looks at new invitations")

    @property
    def identity(self) -> Path:
        return self.data / "identity.json"

    @property
    def datasets(self) -> Path:
        return self.data / "datasets"
