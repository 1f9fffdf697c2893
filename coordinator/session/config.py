"""The coordinator's settings: on the command line, in SECAGG_COORDINATOR_<NAME>, or in a TOML file."""

from pathlib import Path

from pydantic import Field, SecretStr

from relay.client.transport import RelayClient
from relay.service.settings import Settings, default_data_folder, service_config
from secagg.errors import ParameterError
from secagg.identity import Identity


class CoordinatorConfig(Settings):
    """Settings of `secagg-coordinator`. The passphrase is best given by SECAGG_COORDINATOR_PASSPHRASE_FILE."""

    model_config = service_config("coordinator")

    relay: str = Field(default="", description="the relay's address, https://...")
    data: Path = Field(
        default_factory=lambda: default_data_folder("coordinator"), description="folder of identity and journal"
    )
    passphrase: SecretStr = Field(default=SecretStr(""), description="opens the identity key")
    ca_file: Path | None = Field(default=None, description="certificates that the relay's one must lead to")
    cert_file: Path | None = Field(default=None, description="certificate to show to a relay that asks for one")
    key_file: Path | None = Field(default=None, description="the key of that certificate")
    proxy: str | None = Field(default=None, description="HTTPS proxy, if not that of the environment")
    step_s: float = Field(default=120, gt=0, description="longest wait for the sites in each step")
    grace_s: float = Field(default=15, ge=0, description="wait for the last sites once enough have answered")
    rounds: int = Field(default=32, ge=1, description="rounds that an epoch prepares")
    epoch_s: int = Field(default=86_400, ge=60, description="time after which an epoch's secrets are erased")
    run_s: float = Field(default=86_400, ge=1, description="time that a run may take before it is ended")
    lease_s: float = Field(
        default=30, ge=3, le=600, description="time without a sign of life after which a standby takes a run over"
    )
    checkpoints: bool = Field(default=True, description="leave sealed states at the relay, for a standby to go on from")
    admin_port: int | None = Field(
        default=None, ge=0, le=65535, description="port for health and metrics; 0 means any free, none by default"
    )
    scheduler: str = Field(
        default="", description="a Dask cluster that recovers drop-outs, tls://host:port; by default, this machine does"
    )
    scheduler_ca_file: Path | None = Field(default=None, description="the cluster's authority")
    scheduler_cert_file: Path | None = Field(default=None, description="this machine's certificate in the cluster")
    scheduler_key_file: Path | None = Field(default=None, description="the key of that certificate")

    def require_relay(self) -> None:
        """Check that a relay is named; raises ParameterError."""
        if not self.relay:
            raise ParameterError("no relay is named; set SECAGG_COORDINATOR_RELAY, or relay = ... in the TOML file")

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
