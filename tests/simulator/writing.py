"""Writing a simulated log: headers, signatures, entries that went through the rules, checkpoints."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from privacy import checkpoint, codec, envelope
from privacy.acceptance import Admission, LogState
from privacy.checkpoint import Checkpoint
from privacy.envelope import Kind
from privacy.standing import Role
from protos.epochs import Epoch
from protos.v1 import envelope_pb2
from tests.simulator.parties import (
    DEFAULT_ENTERPRISES,
    DEFAULT_PACKS,
    EPOCH,
    ISSUED_AT,
    ORIGIN,
    Logged,
    SimulatedEnterprise,
    SimulatedPack,
    key,
)


@dataclass
class Writer:
    """Writes a log, message by message; `state` is what it has established."""

    packs: Sequence[SimulatedPack] = DEFAULT_PACKS
    enterprises: Sequence[SimulatedEnterprise] = DEFAULT_ENTERPRISES
    root_names: Sequence[str] = ("operator", "regulator", "auditor")
    regions: Sequence[str] = ("east", "west")
    domains: Sequence[str] = ("travel", "life")
    batch_min: int = 1
    unmatched_per_mille: int = 0
    first_epoch: Epoch = EPOCH
    policy_changes: Mapping[str, Any] = field(default_factory=dict)
    entries: list[Logged] = field(default_factory=list)
    state: LogState = field(default_factory=LogState)
    origin: str = ORIGIN
    # Name of the log's present key.
    log_key: str = "log"
    randomness: random.Random = field(default_factory=lambda: random.Random(7))
    linked: dict[bytes, tuple[bytes, Epoch]] = field(default_factory=dict)
    rows: dict[str, list[bytes]] = field(default_factory=dict)
    batches: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    def append(self, data: bytes, bodies: Sequence[bytes] = ()) -> Admission:
        """Put an envelope into the log; raises what the rules raise."""
        admission = self.state.check(data, bodies)
        self.state.apply(admission)
        self.entries.append(Logged(data, list(bodies)))
        return admission

    def header(self, role: Role, issuer: str, **changes: Any) -> envelope_pb2.Header:
        """Give the next header of an issuer, with changes for tests that want it wrong."""
        chain = self.state.chain(role, issuer)
        values: dict[str, Any] = {
            "origin": self.origin,
            "issuer": issuer,
            "sequence": chain.next_sequence,
            "previous": chain.head,
            "issued_at": ISSUED_AT,
        }
        return envelope_pb2.Header(**{**values, **changes})

    def signed(self, kind: Kind, message: Any, *signers: str) -> bytes:
        """Sign a message with the keys of those names."""
        return envelope.sign(codec.encode(message), kind, [key(name) for name in signers])

    @property
    def log_vkey(self) -> checkpoint.Vkey:
        """Give the log's verifier key."""
        return checkpoint.log_vkey(self.origin, key(self.log_key).verify_key)

    def checkpoint(self) -> bytes:
        """Sign the present entries."""
        head = Checkpoint(self.origin, self.state.size, self.state.root())
        if self.log_key == "log":
            return checkpoint.sign_checkpoint(head, key(self.log_key))
        return checkpoint.sign_checkpoint_twice(head, key(self.log_key))
