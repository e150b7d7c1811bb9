"""The custodian's home folder and its custodian.toml.

C/custodian.toml     this configuration
C/custodian.pub      who this custodian is, for the ceremony: public
C/signing.key        signs count reports (Ed25519)
C/sealing.key        opens the share that the ceremony seals to this custodian (X25519)
C/share.sealed       the key share, sealed at rest
C/share.next.sealed  the share that takes its place when the trust root names it
C/beacon*.sealed     the same two of the beacon key, where the federation samples
C/ceremony/          what this custodian said in ceremonies without a dealer; it never says two things in one
C/trust-root         the first trust root's envelope, pinned by import-share
C/tls.pem …          the TLS identity
C/custodian.db       charges and count reports; the log gives back what it holds of them
C/log/               verified copy of the hub's log
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from custodian.share import Purpose
from privacy import keys
from privacy.keys import SigningKey
from privacy.sealing import SealingKey
from protos.problems import Conflict, Malformed
from protos.v1.problem_pb2 import REASON_ALREADY_EXISTS, REASON_CONFIGURATION_INVALID
from runtime.configuration import Settings, load_settings
from runtime.files import read_private, write_private

KEY_FILE_BYTES_MAX = 1024
TRUST_ROOT_BYTES_MAX = 65_535
ID_PATTERN = r"^[a-z0-9][a-z0-9-]{1,62}$"

_SHARE_NAMES = {Purpose.PSEUDONYM: "share", Purpose.BEACON: "beacon"}
_SEALING_HEAD = "cgsp-sealing-key-1"


class CustodianSettings(Settings):
    """The whole of custodian.toml."""

    id: str = Field(pattern=ID_PATTERN)
    origin: str = Field(min_length=3, max_length=200)
    # host:port that the EvaluationService listens on.
    listen: str
    # host:port of the hub's gRPC services and of its public log.
    hub_grpc: str
    hub_https: str
    # host:port of /livez, /readyz and /metrics; none if empty.
    health: str = ""
    # File whose content, without its line end, seals the share at rest; sealing.key does if empty.
    passphrase_file: str = ""
    # Threads that evaluate one batch.
    evaluation_threads: int = Field(default=2, ge=1, le=64)
    # Batches of one enterprise in work at a time, so that none delays another.
    batches_per_enterprise: int = Field(default=2, ge=1, le=16)
    # Evaluations an enterprise may have in a minute, and at once after a pause (at least one largest batch).
    evaluations_per_minute: int = Field(default=30_000, ge=1, le=10_000_000)
    evaluations_at_once: int = Field(default=262_144, ge=65_535, le=100_000_000)
    # Least time between two readings of the log that an unknown caller can cause.
    refresh_seconds: int = Field(default=2, ge=1, le=3600)
    # Longest wait between two attempts to submit a count report.
    report_wait_seconds: int = Field(default=30, ge=1, le=3600)
    reflection: bool = False


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one custodian lies."""

    folder: Path

    @property
    def configuration(self) -> Path:
        """Give custodian.toml."""
        return self.folder / "custodian.toml"

    @property
    def public(self) -> Path:
        """Give custodian.pub."""
        return self.folder / "custodian.pub"

    def share(self, purpose: Purpose = Purpose.PSEUDONYM) -> Path:
        """Give the sealed share of a key."""
        return self.folder / f"{_SHARE_NAMES[purpose]}.sealed"

    def next_share(self, purpose: Purpose = Purpose.PSEUDONYM) -> Path:
        """Give the sealed share that waits for the trust root to name it."""
        return self.folder / f"{_SHARE_NAMES[purpose]}.next.sealed"

    @property
    def said(self) -> Path:
        """Give the folder of what this custodian said in ceremonies."""
        return self.folder / "ceremony"

    @property
    def trust_root(self) -> Path:
        """Give the pinned first trust root."""
        return self.folder / "trust-root"

    @property
    def database(self) -> Path:
        """Give the SQLite file."""
        return self.folder / "custodian.db"

    @property
    def log(self) -> Path:
        """Give the folder of the log's verified copy."""
        return self.folder / "log"

    def settings(self) -> CustodianSettings:
        """Read custodian.toml; raises Malformed CONFIGURATION_INVALID."""
        return load_settings(self.configuration, CustodianSettings)

    def signing_key(self) -> SigningKey:
        """Read the key that signs count reports."""
        return keys.decode_private(read_private(self.folder / "signing.key", KEY_FILE_BYTES_MAX))

    def sealing_key(self) -> SealingKey:
        """Read the key that opens the ceremony's share."""
        head, _, body = (
            read_private(self.folder / "sealing.key", KEY_FILE_BYTES_MAX)
            .decode("ascii", "replace")
            .partition(" ")
        )
        try:
            return SealingKey(bytes.fromhex(body.strip() if head == _SEALING_HEAD else ""))
        except (ValueError, Malformed):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                f"{self.folder / 'sealing.key'} is not a sealing key.",
                remedy="Restore it from a backup, or hold the ceremony again.",
            ) from None

    def write_keys(self, signing: SigningKey, sealing: SealingKey) -> None:
        """Write both private keys, 0600."""
        write_private(self.folder / "signing.key", keys.encode_private(signing))
        write_private(self.folder / "sealing.key", f"{_SEALING_HEAD} {sealing.secret.hex()}\n".encode())

    def has_keys(self) -> bool:
        """Say whether both private keys are there."""
        return (self.folder / "signing.key").exists() and (self.folder / "sealing.key").exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home for one process; raises Conflict if another one has it."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Conflict(
                REASON_ALREADY_EXISTS,
                f"Another process works with {self.folder}.",
                remedy="Stop it first: two would charge and count apart.",
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)
