"""The participant's settings: from the command line, SECAGG_PARTICIPANT_<NAME>, or a TOML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from relay.service.settings import Settings, default_data_folder, service_config
from secagg.errors import ParameterError

if TYPE_CHECKING:
    from relay.client.exchange import Tls
    from relay.client.transport import RelayClient
    from secagg.identity import Identity


class ParticipantConfig(Settings):
    """Settings of `secagg-participant`. Preferably give the passphrase as SECAGG_PARTICIPANT_PASSPHRASE_FILE."""

    model_config = service_config("participant")

    relay: str = Field(default="", description="the relay's address, https://...")
    data: Path = Field(
        default_factory=lambda: default_data_folder("participant"),
        description="folder of identity, journal and datasets",
    )
    passphrase: SecretStr = Field(default=SecretStr(""), description="passphrase that unlocks the identity key")
    passphrase_file: Path | None = Field(default=None, description="file with the passphrase")
    passphrase_command: tuple[str, ...] = Field(
        default=(), description="command that prints the passphrase, such as a keyring's"
    )
    ca_file: Path | None = Field(default=None, description="CA certificates that the relay's certificate must chain to")
    cert_file: Path | None = Field(default=None, description="client certificate, if the relay asks for one")
    key_file: Path | None = Field(default=None, description="private key of the client certificate")
    anchor: Path | None = Field(default=None, description="file outside the data folder that reveals a rollback of it")
    proxy: str | None = Field(default=None, description="HTTPS proxy; default: the environment's")
    policy: Path | None = Field(default=None, description="TOML file with the site's policy; default: cautious rules")
    admin_port: int = Field(default=8451, ge=0, le=65535, description="port for health and metrics; 0 picks any")
    admin_host: str = Field(
        default="127.0.0.1", description="address of that port; it has no password, so only the monitoring may reach it"
    )
    import_memory_mib: int = Field(default=4096, ge=256, description="memory that an import may use, in MiB")
    import_minutes: float = Field(default=240, gt=0, description="minutes that an import may take")
    computation_memory_mib: int = Field(default=4096, ge=256, description="memory that an answer may use, in MiB")
    computation_minutes: float = Field(default=60, gt=0, description="minutes that computing an answer may take")
    disk_reserve_bytes: int = Field(
        default=16 << 20, ge=0, description="size of a file that is given up when the disk is full; 0 for none"
    )
    notify_smtp: SecretStr = Field(
        default=SecretStr(""),
        description="SMTP server that sends officers what waits for them: smtps://user:password@host, or smtp://host",
    )
    notify_from: str = Field(default="", description="sender of these e-mails")
    notify_to: tuple[str, ...] = Field(default=(), description="addresses of the officers")
    notify_webhook: SecretStr = Field(
        default=SecretStr(""), description="https address that receives the same notices as JSON"
    )
    poll_s: float = Field(default=30, gt=0, le=30, description="longest wait for messages, in seconds")
    invitations_s: float = Field(default=30, gt=0, description="seconds between checks for new invitations")

    @model_validator(mode="after")
    def _check_notices(self) -> Self:
        mail, hook = self.notify_smtp.get_secret_value(), self.notify_webhook.get_secret_value()
        if mail and (urlsplit(mail).scheme not in {"smtp", "smtps"} or not urlsplit(mail).hostname):
            raise ValueError("notify_smtp has the form smtps://user:password@host, or smtp://host for STARTTLS")
        if bool(mail) != bool(self.notify_from and self.notify_to):
            raise ValueError("notices by e-mail need notify_smtp, notify_from and notify_to, all three")
        if hook and (urlsplit(hook).scheme not in {"https", "http"} or not urlsplit(hook).hostname):
            raise ValueError("notify_webhook has the form https://host/path")
        return self

    def require_relay(self) -> None:
        """Check that the settings name a relay; raises ParameterError."""
        if not self.relay:
            raise ParameterError("no relay is configured; set SECAGG_PARTICIPANT_RELAY or, in the TOML file, relay")

    @property
    def tls(self) -> "Tls":
        """The settings for verifying the relay's certificate, and the client certificate to present."""
        from relay.client.exchange import Tls  # noqa: PLC0415  # most commands read settings and ask no relay

        return Tls(ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)

    def client(self, identity: "Identity", give_up_after_s: float = 60.0) -> "RelayClient":
        """Return a relay client for an identity; raises ParameterError if no relay is configured."""
        from relay.client.transport import RelayClient  # noqa: PLC0415

        self.require_relay()
        return RelayClient(
            self.relay,
            identity,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            proxy=self.proxy,
            give_up_after_s=give_up_after_s,
        )

    @property
    def identity(self) -> Path:
        return self.data / "identity.json"

    @property
    def datasets(self) -> Path:
        return self.data / "datasets"
