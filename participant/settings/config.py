"""The participant's settings: on the command line, in SECAGG_PARTICIPANT_<NAME>, or in a TOML file."""

from pathlib import Path

from pydantic import Field, SecretStr

from relay.client.exchange import Tls
from relay.client.transport import RelayClient
from relay.service.settings import Settings, default_data_folder, service_config
from secagg.errors import ParameterError
from secagg.identity import Identity


class ParticipantConfig(Settings):
    """Settings of `secagg-participant`. The passphrase is best given by SECAGG_PARTICIPANT_PASSPHRASE_FILE."""

    model_config = service_config("participant")

    relay: str = Field(default="", description="the relay's address, https://...")
    data: Path = Field(
        default_factory=lambda: default_data_folder("participant"), description="folder of identity, journal, datasets"
    )
    passphrase: SecretStr = Field(default=SecretStr(""), description="opens the identity key")
    passphrase_file: Path | None = Field(default=None, description="file that holds the passphrase")
    passphrase_command: tuple[str, ...] = Field(default=(), description="prints the passphrase, as a keyring does")
    ca_file: Path | None = Field(default=None, description="certificates that the relay's one must lead to")
    cert_file: Path | None = Field(default=None, description="certificate to show to a relay that asks for one")
    key_file: Path | None = Field(default=None, description="the key of that certificate")
    anchor: Path | None = Field(default=None, description="file elsewhere that tells when the data folder was set back")
    proxy: str | None = Field(default=None, description="HTTPS proxy, if not that of the environment")
    policy: Path | None = Field(default=None, description="TOML file with the site's rules; cautious ones by default")
    admin_port: int = Field(default=8451, ge=0, le=65535, description="port for health and metrics; 0 means any free")
    poll_s: float = Field(default=30, gt=0, le=30, description="longest wait for messages")
    invitations_s: float = Field(default=30, gt=0, description="time between looks at new invitations")

    def require_relay(self) -> None:
        """Check that a relay is named; raises ParameterError."""
        if not self.relay:
            raise ParameterError("no relay is named; set SECAGG_PARTICIPANT_RELAY, or relay = ... in the TOML file")

    @property
    def tls(self) -> Tls:
        """How the relay's certificate is checked, and which one is shown to it."""
        return Tls(ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)

    def client(self, identity: Identity, give_up_after_s: float = 60.0) -> RelayClient:
        """Return an identity's client of the relay; raises ParameterError where none is named."""
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
