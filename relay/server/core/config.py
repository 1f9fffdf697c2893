"""The relay's settings and limits: on the command line, in SECAGG_RELAY_<NAME> or in a TOML file."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from relay.server.core.tls import Certificate
from relay.service.settings import Settings, SettingsError, default_data_folder, service_config

FILE_NAME = "relay.sqlite"


_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


class RelayConfig(Settings):
    """Settings of `secagg-relay serve`. The limits suit honest use and keep one site from starving the others."""

    model_config = service_config("relay")

    data: Path = Field(
        default_factory=lambda: default_data_folder("relay"), description="folder with the database and the payloads"
    )
    database: SecretStr | None = Field(
        default=None, description="postgresql://user@host/name; default: SQLite in the data folder"
    )
    objects: str | None = Field(
        default=None,
        pattern="^(s3|gs|az)://",
        description="s3://bucket/prefix to keep payloads in an object store; default: the data folder",
    )
    database_connections: int = Field(default=8, ge=2, description="maximum number of database connections")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8440, ge=0, le=65535, description="port to listen on; 0 means any free port")
    admin_host: str = Field(default="127.0.0.1", description="address of the admin port")
    admin_port: int = Field(
        default=8441, ge=0, le=65535, description="port for health and metrics; 0 means any free port"
    )

    public_names: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.:\[\]-]+$")], ...] = Field(
        default=(),
        description="names under which sites reach the relay, with the port unless it is the default one; "
        "signatures must be for one of them; by default, for whatever name a request gives",
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file of the relay's certificate chain")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's key, without a passphrase")
    tls_client_authority: Path | None = Field(
        default=None, description="PEM file; requires client certificates of this authority (mutual TLS)"
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="networks whose X-Forwarded-For is trusted; their own requests are not limited",
    )
    allow: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="networks that may use the relay; empty for all"
    )

    max_connections: int = Field(default=8192, ge=1, description="maximum number of connections to the public port")
    max_connections_per_address: int = Field(
        default=512, ge=1, description="the same per IPv4 address or IPv6 /64; proxies are not limited"
    )
    rate_per_address: float = Field(
        default=200,
        gt=0,
        description="sustained requests per second from one address; bursts may be ten times as large",
    )
    rate_per_site: float = Field(
        default=300, gt=0, description="sustained requests per second from one site, with the same burst"
    )
    head_s: float = Field(
        default=10, gt=0, description="time allowed for a TLS handshake, and for the head of a request"
    )
    idle_s: float = Field(default=75, gt=0, description="idle time allowed between a site's requests on one connection")
    stall_s: float = Field(
        default=10, gt=0, description="time after which a reader that accepts almost nothing is disconnected"
    )
    max_polls: int = Field(default=8192, ge=1, description="maximum number of waiting long polls, all sites together")
    max_polls_per_site: int = Field(default=4, ge=1, description="maximum number of waiting long polls per site")
    max_open_projects: int = Field(default=100, ge=1, description="maximum number of open projects per coordinator")
    max_open_runs: int = Field(default=50, ge=1, description="maximum number of open runs per project")
    max_messages: int = Field(default=200_000, ge=1, description="maximum number of messages per site and run")
    max_frame_bytes: int = Field(default=1 * _GIB, ge=1, description="maximum bytes of frames per site and run")
    max_payload_bytes: int = Field(default=64 * _GIB, ge=1, description="maximum bytes of payloads per site and run")
    disk_reserve_bytes: int = Field(default=256 * _MIB, ge=0, description="disk space that payloads must leave free")

    retention_days: float = Field(
        default=30, gt=0, description="days for which messages and payloads are kept after a run ended"
    )
    unfinished_days: float = Field(default=7, gt=0, description="days after which an incomplete upload is discarded")

    body_grace_s: float = Field(default=10, gt=0, description="time that any request body may take")
    body_min_rate: float = Field(default=16 * _KIB, gt=0, description="minimum bytes per second of a body after that")
    body_memory_bytes: int = Field(
        default=128 * _MIB,
        ge=32 * _MIB,
        description="maximum bytes of in-flight request bodies; one site may use an eighth",
    )
    silent_after_s: float = Field(
        default=90, gt=0, description="time without a request after which a site counts as silent"
    )
    database_wait_s: float = Field(default=5, gt=0, description="longest wait for another process's write")
    backup_to: Path | None = Field(default=None, description="folder for backups")
    backup_recipients: tuple[str, ...] = Field(
        default=(), description="public keys (age1...) that backups are encrypted to"
    )
    backup_keep: int = Field(default=14, ge=1, description="number of backups to keep regardless of age")
    backup_days: int = Field(default=35, ge=0, description="days after which other backups are removed")
    log_addresses: bool = Field(default=False, description="log the address that a request came from")
    shutdown_s: float = Field(
        default=8, gt=0, description="time allowed for shutdown after SIGTERM; requests get half of it to finish"
    )

    @property
    def database_url(self) -> URL:
        """URL of the database.

        Raises:
            SettingsError: the setting is not a URL, or names an unsupported database.
        """
        if self.database is None:
            return sqlite_url(self.data)
        try:
            url = make_url(self.database.get_secret_value())
        except ArgumentError:
            url = None
        if url is None or url.drivername not in {"postgresql", "postgres"} or not url.database:
            raise SettingsError("database: expected postgresql://user@host/name; omit it to use SQLite")
        # asyncpg's name for libpq's sslmode
        query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
        return url.set(drivername="postgresql", query=query)

    def certificate(self) -> Certificate | None:
        """Return the certificate of the public port; None for plain HTTP.

        Raises:
            SettingsError: only one of certificate and key is set.
            CertificateError: certificate and key do not match.
        """
        if self.tls_certificate is None and self.tls_key is None and self.tls_client_authority is None:
            return None
        if self.tls_certificate is None or self.tls_key is None:
            raise SettingsError("set both tls_certificate and tls_key, or neither; tls_client_authority needs both")
        return Certificate(self.tls_certificate, self.tls_key, self.tls_client_authority)


def sqlite_url(data: Path) -> URL:
    """Return the URL of the database in a data folder."""
    return URL.create("sqlite", database=str(data / FILE_NAME))
