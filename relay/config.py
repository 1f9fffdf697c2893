"""The relay's settings and limits: on the command line, in SECAGG_RELAY_<NAME> or in a TOML file."""

from pathlib import Path

from pydantic import Field

from relay.service.settings import Settings, default_data_folder, service_config

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


class RelayConfig(Settings):
    """Settings of `secagg-relay serve`. The limits are for honest use; they keep one site from starving the others."""

    model_config = service_config("relay")

    data: Path = Field(
        default_factory=lambda: default_data_folder("relay"), description="folder of the database and the payloads"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on; a TLS proxy stands before it")
    port: int = Field(default=8440, ge=0, le=65535, description="port to listen on; 0 means any free one")
    admin_host: str = Field(default="127.0.0.1", description="address of the admin port")
    admin_port: int = Field(default=8441, ge=0, le=65535, description="port for health and metrics; 0 means any free")

    max_polls_per_site: int = Field(default=4, ge=1, description="long polls of one site that wait at a time")
    max_messages: int = Field(default=200_000, ge=1, description="messages of one site in one run")
    max_frame_bytes: int = Field(default=1 * _GIB, ge=1, description="bytes of all frames of one site in one run")
    max_payload_bytes: int = Field(default=64 * _GIB, ge=1, description="bytes of all payloads of one site in one run")
    disk_reserve_bytes: int = Field(default=256 * _MIB, ge=0, description="free space that payloads do not touch")

    body_grace_s: float = Field(default=10, gt=0, description="time that any body may take")
    body_min_rate: float = Field(default=16 * _KIB, gt=0, description="bytes a second that a body keeps up after that")
    database_wait_s: float = Field(default=5, gt=0, description="longest wait for another process's write")
    shutdown_s: float = Field(default=8, gt=0, description="time for running requests to end at SIGTERM")
