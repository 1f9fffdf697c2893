"""The relay's settings and limits: on the command line, in SECAGG_RELAY_<NAME> or in a TOML file."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from relay.server.core.tls import Certificate
from relay.service.settings import Settings, SettingsError, default_data_folder, service_config

FILE_NAME = "relay.sqlite"


_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


class RelayConfig(Settings):
    """Settings of `secagg-relay serve`. The limits are for honest use; they keep one site from starving the others."""

    model_config = service_config("relay")

    data: Path = Field(
        default_factory=lambda: default_data_folder("relay"), description="folder of the database and the payloads"
    )
    database: SecretStr | None = Field(
        default=None, description="postgresql://user@host/name; without it SQLite, in the data folder"
    )
    objects: str | None = Field(
        default=None,
        pattern="^(s3|gs|az)://",
        description="s3://bucket/prefix: payloads in an object store; without it in the data folder",
    )
    database_connections: int = Field(default=8, ge=2, description="connections to the database at a time")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8440, ge=0, le=65535, description="port to listen on; 0 means any free one")
    admin_host: str = Field(default="127.0.0.1", description="address of the admin port")
    admin_port: int = Field(default=8441, ge=0, le=65535, description="port for health and metrics; 0 means any free")

    tls_certificate: Path | None = Field(default=None, description="PEM file of the relay's certificate chain")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's key, without a passphrase")
    tls_client_authority: Path | None = Field(
        default=None, description="PEM file; clients then show a certificate of this authority"
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="networks whose X-Forwarded-For counts; what they send themselves is not limited",
    )
    allow: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="networks that may use the relay; empty for all"
    )

    max_connections: int = Field(default=8192, ge=1, description="connections to the public port")
    max_connections_per_address: int = Field(
        default=512, ge=1, description="of these from one IPv4 address or IPv6 /64; proxies are not limited"
    )
    rate_per_address: float = Field(
        default=200, gt=0, description="requests a second of one address in the long run; ten times that at once"
    )
    rate_per_site: float = Field(default=300, gt=0, description="requests a second of one site, likewise")
    head_s: float = Field(default=10, gt=0, description="time for a TLS handshake, and for the head of a request")
    idle_s: float = Field(default=75, gt=0, description="time between the requests of a site on one connection")
    stall_s: float = Field(default=10, gt=0, description="longest time in which a reader takes next to nothing")
    max_polls: int = Field(default=8192, ge=1, description="long polls of all sites that wait at a time")
    max_polls_per_site: int = Field(default=4, ge=1, description="long polls of one site that wait at a time")
    max_open_projects: int = Field(default=100, ge=1, description="open projects of one coordinator")
    max_open_runs: int = Field(default=50, ge=1, description="open runs of one project")
    max_messages: int = Field(default=200_000, ge=1, description="messages of one site in one run")
    max_frame_bytes: int = Field(default=1 * _GIB, ge=1, description="bytes of all frames of one site in one run")
    max_payload_bytes: int = Field(default=64 * _GIB, ge=1, description="bytes of all payloads of one site in one run")
    disk_reserve_bytes: int = Field(default=256 * _MIB, ge=0, description="free space that payloads do not touch")

    retention_days: float = Field(
        default=30, gt=0, description="messages and payloads are kept so long after a run ended"
    )
    unfinished_days: float = Field(default=7, gt=0, description="an upload that is not complete by then is discarded")

    body_grace_s: float = Field(default=10, gt=0, description="time that any body may take")
    body_min_rate: float = Field(default=16 * _KIB, gt=0, description="bytes a second that a body keeps up after that")
    body_memory_bytes: int = Field(
        default=128 * _MIB, ge=32 * _MIB, description="bytes of all bodies at a time; one site has an eighth of it"
    )
    silent_after_s: float = Field(default=90, gt=0, description="time without a request after which a site is silent")
    database_wait_s: float = Field(default=5, gt=0, description="longest wait for another process's write")
    backup_to: Path | None = Field(default=None, description="folder in which backups are collected")
    backup_recipients: tuple[str, ...] = Field(
        default=(), description="public keys (age1...) that backups are sealed to"
    )
    backup_keep: int = Field(default=14, ge=1, description="backups that are kept whatever their age")
    backup_days: int = Field(default=35, ge=0, description="older backups beyond these are removed")
    log_addresses: bool = Field(default=False, description="let the log name the address that a request came from")
    shutdown_s: float = Field(
        default=8, gt=0, description="time for all to end at SIGTERM, half of it for requests by themselves"
    )

    @property
    def database_url(self) -> URL:
        """Where the database is.

        Raises:
            SettingsError: the setting is no URL, or of another kind of database.
        """
        if self.database is None:
            return sqlite_url(self.data)
        try:
            url = make_url(self.database.get_secret_value())
        except ArgumentError:
            url = None
        if url is None or url.drivername not in {"postgresql", "postgres"} or not url.database:
            raise SettingsError("database: expected is postgresql://user@host/name, and without it SQLite is used")
        # asyncpg calls libpq's sslmode so
        query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
        return url.set(drivername="postgresql", query=query)

    def certificate(self) -> Certificate | None:
        """Return the certificate of the public port, None for plain HTTP.

        Raises:
            SettingsError: a certificate without its key, or the other way round.
            CertificateError: the files do not go together.
        """
        if self.tls_certificate is None and self.tls_key is None and self.tls_client_authority is None:
            return None
        if self.tls_certificate is None or self.tls_key is None:
            raise SettingsError("tls_certificate and tls_key go together, and tls_client_authority needs both")
        return Certificate(self.tls_certificate, self.tls_key, self.tls_client_authority)


def sqlite_url(data: Path) -> URL:
    """Return the URL of the database in a data folder."""
    return URL.create("sqlite", database=str(data / FILE_NAME))
