"""What an installation decides, read from `EDUBBA_…` variables; each process gets only its own.

The defaults are the embedded mode on one machine. Nothing secret is among them but the database
and broker URLs of a production installation.
"""

from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, computed_field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# Names under `.localhost` never leave the machine (RFC 6761): only there may examples exist.
LOOPBACK_ZONE_SUFFIX = ".localhost"


class Settings(BaseSettings):
    """The settings of one installation."""

    model_config = SettingsConfigDict(env_prefix="EDUBBA_", frozen=True)

    instance: str = Field(default="edubba", pattern=r"^[a-z][a-z0-9]{0,7}$")
    zone: str = Field(default="edubba.localhost", max_length=200)
    cloud: Literal["local", "memory", "openstack"] = "local"
    clouds_file: Path = Path("/etc/edubba/clouds.yaml")  # where OpenStack's regions are named
    cloud_entry: str = Field(default="edubba", max_length=64)  # the entry of this region
    regions_file: Path = Path()  # names several; none: what begins with `cloud_` is the region
    cloud_external_network: str = Field(default="public", max_length=255)
    cloud_role: str = Field(default="edubba", max_length=255)  # ours in each tenant's project
    cloud_edge: IPv4Network = IPv4Network("203.0.113.0/24")  # from where the edge reaches servers
    cloud_configurator: IPv4Network = IPv4Network("203.0.113.0/24")  # the worker and the runner
    cloud_config_drive: bool = False
    cloud_notifications_url: SecretStr = SecretStr("")  # none: the cloud is looked at
    region: str = Field(default="local", pattern=r"^[a-z][a-z0-9-]{0,39}$")
    state_dir: Path = Path("/var/lib/edubba")
    run_dir: Path = Path("/run/edubba")
    database_url: SecretStr = SecretStr("")  # empty: SQLite in the state directory
    broker_url: SecretStr = SecretStr("memory://")
    bind_host: str = "127.0.0.1"
    bind_port: int = Field(default=8600, ge=1, le=65_535)
    worker_metrics_port: int = Field(default=8601, ge=0, le=65_535)  # loopback only; 0: none
    edge_metrics_port: int = Field(default=8605, ge=1, le=65_535)  # haproxy's own, loopback only
    worker_threads: int = Field(default=8, ge=1, le=64)  # steps at once in each region
    edge_host: str = "127.0.0.1"  # where the worker looks at the edge as a visitor would
    edge_https_port: int = Field(default=443, ge=1, le=65_535)
    retention_days: int = Field(default=30, ge=0)  # from ended to purged
    keystone_url: str = Field(default="", pattern=r"^(https?://\S+)?$")  # empty: no such tokens
    keystone_ca_file: Path = Path()  # none: the machine's own authorities
    keystone_clouds_file: Path = Path()  # of a service credential; none: tokens ask themselves
    keystone_entry: str = Field(default="edubba-web", max_length=64)  # its entry in that file
    json_logs: bool = True
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _default_database(self) -> Self:
        if not self.database_url.get_secret_value():
            path = self.state_dir / "database" / "edubba.db"
            object.__setattr__(self, "database_url", SecretStr(f"sqlite:///{path}"))
        return self

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way to show a property
    @property
    def is_loopback_zone(self) -> bool:
        """Whether names of the zone never leave this machine, so that examples may exist."""
        return f".{self.zone}".endswith(LOOPBACK_ZONE_SUFFIX)

    @property
    def is_embedded(self) -> bool:
        """Whether all processes share one machine, with no broker between them."""
        return self.broker_url.get_secret_value().startswith("memory:")

    @cached_property
    def blobs_dir(self) -> Path:
        """Where content lies."""
        return self.state_dir / "blobs"

    @cached_property
    def edge_dir(self) -> Path:
        """Maps and certificates, written by the worker, read by the edge."""
        return self.state_dir / "edge"

    @cached_property
    def keys_dir(self) -> Path:
        """The worker's private keys."""
        return self.state_dir / "keys"

    @cached_property
    def images_dir(self) -> Path:
        """Prepared images, made by root."""
        return self.state_dir / "images"

    @cached_property
    def ca_file(self) -> Path:
        """The internal CA's certificate, for everybody to read."""
        return self.state_dir / "edge" / "ca.pem"

    @cached_property
    def bell_socket(self) -> Path:
        """Where the worker hears the web process."""
        return self.run_dir / "bell" / "bell.sock"

    @cached_property
    def locald_socket(self) -> Path:
        """Where the root daemon listens to the worker."""
        return self.run_dir / "locald.sock"

    @cached_property
    def runner_socket(self) -> Path:
        """Where the runner of playbooks listens to the worker."""
        return self.run_dir / "runner" / "runner.sock"

    @cached_property
    def edge_socket(self) -> Path:
        """The edge's runtime interface."""
        return self.run_dir / "edge.sock"

    @cached_property
    def heartbeat_file(self) -> Path:
        """Touched by each sweep of the worker, looked at by `/readyz`."""
        return self.run_dir / "bell" / "sweep.heartbeat"
