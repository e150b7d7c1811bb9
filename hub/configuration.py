"""The hub's home folder and its hub.toml.

H/hub.toml                      this configuration
H/checkpoint H/tile/… H/log.vkey    the public log, served as it lies here
H/private/                      0700: keys, certificate authority, operator's identity, database
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hub.store.location import Location, SqliteFile, read_dsn
from runtime.configuration import Settings, load_settings
from runtime.engines import ENGINE_NAMED, EngineSettings

CONFIGURATION_FILE = "hub.toml"
ID_PATTERN = r"[a-z0-9][a-z0-9-]{1,62}"


class Limits(Settings):
    """What one caller may ask of the hub before anything it sent is looked at."""

    body_bytes_max: int = Field(default=(4 << 20) - 4096, ge=1024, le=(4 << 20) - 4096)
    submission_bytes_max: int = Field(default=512 << 20, ge=65_536)
    submission_bodies_max: int = Field(default=65_536, ge=1)
    submissions_per_minute: int = Field(default=600, ge=1)
    submissions_at_once: int = Field(default=2, ge=1, le=64)
    http_body_bytes_max: int = Field(default=65_536, ge=1024)
    # Of one certificate's holder, or of one address without one.
    http_calls_per_minute: int = Field(default=6_000, ge=1)
    http_calls_at_once: int = Field(default=64, ge=1, le=512)


class StoreSettings(Settings):
    """Where the hub's database is; a connection string is a secret and stands in a file or a variable."""

    kind: Literal["sqlite", "postgresql"] = "sqlite"
    # A 0600 file, relative to the home folder, or the name of an environment variable.
    dsn_file: str | None = Field(default=None, min_length=1, max_length=4096)
    dsn_variable: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]{0,63}$")

    @model_validator(mode="after")
    def _has_one_dsn(self) -> Self:
        given = sum(one is not None for one in (self.dsn_file, self.dsn_variable))
        if given != (self.kind == "postgresql"):
            raise ValueError("a postgresql store names dsn_file or dsn_variable, a sqlite store neither")
        return self


class CloseEngine(EngineSettings):
    """[close.engine]: as a node's [engine]."""

    memory_limit_mb: Annotated[int, Field(ge=128, le=1 << 20)] = 512


class CloseSettings(Settings):
    """[close]: what computes the books of an epoch, and where its columnar files lie."""

    engine: Annotated[CloseEngine, ENGINE_NAMED] = CloseEngine()
    # A folder of the hub's own on a disk that a cluster's workers see; without one the home's private/work.
    folder: str | None = Field(default=None, pattern=r"^/", max_length=4096)

    @model_validator(mode="after")
    def _workers_see_files(self) -> Self:
        if self.engine.on_cluster and self.folder is None:
            raise ValueError("a close on a cluster names a folder that its workers see under the same path")
        return self


class HubSettings(Settings):
    """The whole of hub.toml."""

    origin: str = Field(min_length=3, max_length=200, pattern=r"^[a-z0-9.-]+(/[a-z0-9./-]+)?$")
    listen_grpc: str
    listen_https: str
    # What peers are told to call, where it differs from what is listened on.
    advertise_grpc: str = ""
    advertise_https: str = ""
    root_threshold: int = Field(ge=1, le=16)
    policy_threshold: int = Field(ge=1, le=16)
    # Name of each key of the first trust root, and its Ed25519 public key in hex.
    root_keys: dict[str, str]
    policy_keys: dict[str, str]
    merge_delay_seconds: int = Field(default=60, ge=1, le=60)
    certificate_days: int = Field(default=30, ge=1, le=397)
    invitation_hours: int = Field(default=24, ge=1, le=168)
    limits: Limits = Limits()
    store: StoreSettings = StoreSettings()
    close: CloseSettings = CloseSettings()

    @property
    def grpc_address(self) -> str:
        """Give host:port of the gRPC services as peers reach them."""
        return self.advertise_grpc or self.listen_grpc

    @property
    def https_address(self) -> str:
        """Give host:port of the HTTPS interface as peers reach it."""
        return self.advertise_https or self.listen_https


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one hub lies."""

    folder: Path

    @property
    def configuration(self) -> Path:
        """Give hub.toml."""
        return self.folder / CONFIGURATION_FILE

    @property
    def private(self) -> Path:
        """Give the folder only the hub's own account may read."""
        return self.folder / "private"

    @property
    def database(self) -> Location:
        """Say where the database is; raises Malformed CONFIGURATION_INVALID."""
        return self.locate(self.settings().store)

    def locate(self, store: StoreSettings) -> Location:
        """Say where a store of this home is: the SQLite file in it, or a PostgreSQL database."""
        if store.kind == "sqlite":
            return SqliteFile(self.private / "hub.sqlite")
        return read_dsn(self.folder, store.dsn_file, store.dsn_variable)

    @property
    def lock(self) -> Path:
        """Give the file that the one writing process holds locked."""
        return self.private / "lock"

    @property
    def hub_key(self) -> Path:
        """Give the key that signs receipts, links and closes."""
        return self.private / "hub.key"

    @property
    def log_key(self) -> Path:
        """Give the key that signs checkpoints; who holds it can show two histories."""
        return self.private / "log.key"

    @property
    def voucher_key(self) -> Path:
        """The key voucher codes are sealed with."""
        return self.private / "vouchers.key"

    @property
    def server(self) -> Path:
        """Give the folder of the hub's own TLS identity."""
        return self.private / "server"

    @property
    def operator(self) -> Path:
        """Give the folder of the operator's TLS identity."""
        return self.private / "operator"

    @property
    def work(self) -> Path:
        """Give the folder for columnar files of a close; what lies there can be made again."""
        return self.private / "work"

    def settings(self) -> HubSettings:
        """Read hub.toml; raises Malformed CONFIGURATION_INVALID."""
        return load_settings(self.configuration, HubSettings)
