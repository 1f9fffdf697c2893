"""The coordinator's settings: from the command line, SECAGG_COORDINATOR_<NAME>, or a TOML file."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from relay.service.settings import Settings, default_data_folder, service_config
from secagg.errors import ParameterError

if TYPE_CHECKING:
    from relay.client.transport import RelayClient
    from secagg.identity import Identity


class CoordinatorConfig(Settings):
    """Settings of `secagg-coordinator`. SECAGG_COORDINATOR_PASSPHRASE_FILE is the best way to give the passphrase."""

    model_config = service_config("coordinator")

    relay: str = Field(default="", description="address of the relay, https://...")
    data: Path = Field(
        default_factory=lambda: default_data_folder("coordinator"),
        description="folder with the identity and the journal",
    )
    passphrase: SecretStr = Field(default=SecretStr(""), description="passphrase that unlocks the identity key")
    ca_file: Path | None = Field(default=None, description="file with the authorities trusted to certify the relay")
    cert_file: Path | None = Field(default=None, description="client certificate, for a relay that requires one")
    key_file: Path | None = Field(default=None, description="private key of that certificate")
    proxy: str | None = Field(default=None, description="HTTPS proxy; by default, that of the environment")
    step_s: float = Field(default=120, gt=0, description="longest wait in seconds for the sites in each step")
    grace_s: float = Field(default=15, ge=0, description="wait in seconds for the last sites once enough have answered")
    officer_s: float = Field(
        default=28_800,
        ge=0,
        description="longest wait in seconds for sites whose officer or schedule must first allow a step",
    )
    rounds: int = Field(default=32, ge=1, description="number of rounds an epoch prepares")
    epoch_s: int = Field(default=86_400, ge=60, description="seconds until an epoch's secrets are erased")
    run_s: float = Field(default=86_400, ge=1, description="seconds a run may take before it is ended")
    lease_s: float = Field(
        default=30, ge=3, le=600, description="seconds without a sign of life before a standby takes over a run"
    )
    checkpoints: bool = Field(
        default=True, description="whether to store sealed state at the relay, from which a standby can continue"
    )
    disk_reserve_bytes: int = Field(
        default=16 << 20, ge=0, description="size of a file that is given up when the disk is full; 0 for none"
    )
    admin_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port for health and metrics; 0 picks a free one; by default, none is opened",
    )
    admin_host: str = Field(
        default="127.0.0.1", description="address of that port; it has no password, so only the monitoring may reach it"
    )
    scheduler: str = Field(
        default="", description="Dask cluster that removes the masks, tls://host:port; by default, this machine does"
    )
    scheduler_ca_file: Path | None = Field(default=None, description="file with the cluster's certificate authority")
    scheduler_cert_file: Path | None = Field(default=None, description="this machine's certificate for the cluster")
    scheduler_key_file: Path | None = Field(default=None, description="private key of that certificate")

    def require_relay(self) -> None:
        """Check that a relay is configured; raises ParameterError."""
        if not self.relay:
            raise ParameterError(
                "no relay is configured; set SECAGG_COORDINATOR_RELAY, or relay = ... in the TOML file"
            )

    def client(self, identity: "Identity", give_up_after_s: float = 60.0) -> "RelayClient":
        """Return a client of the relay that signs as `identity`; raises ParameterError if no relay is configured."""
        from relay.client.transport import RelayClient  # noqa: PLC0415  # most commands read settings and ask no relay

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
