"""A federation that can lie, and the register of the stories told of it.

Each story makes a log that its own keys sign, one lie in it: it gets a folder and writes there what an
auditor is handed (bundle, trust-root and, where the lie needs it to be seen, receipts). All but the lie is
what an honest federation would have logged.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from privacy import checkpoint, envelope, merkle
from privacy.acceptance import Admission
from privacy.checkpoint import Checkpoint
from privacy.envelope import Kind
from protos.epochs import Epoch
from protos.problems import Problem
from protos.v1 import custodian_pb2, policy_pb2, trust_pb2
from tests.simulator import (
    EPOCH,
    ORIGIN,
    Federation,
    Logged,
    closed,
    enrolled,
    key,
)
from tests.unit.auditor.city import parts

NEXT = Epoch(202101)
BIKES, RETAILER = "bike-share", "retailer"
SEEN_AT = 1_700_000_000
WITNESS = checkpoint.witness_vkey("witness.example", key("witness").verify_key)


@dataclasses.dataclass
class Liar(Federation):
    """A federation whose hub logs what it likes: once lying, the rules are asked and not obeyed."""

    is_lying: bool = False
    # The trust root that was handed over, where it is not the log's first entry.
    pinned: bytes = b""

    def append(self, data: bytes, bodies: Sequence[bytes] = ()) -> Admission:
        """Log the message, whatever the rules say once the lie has begun."""
        try:
            return super().append(data, bodies)
        except Problem:
            if not self.is_lying:
                raise
            self.entries.append(Logged(data, list(bodies)))
            return None  # type: ignore[return-value]

    def lie(self, kind: Kind, message: Any, *signers: str, bodies: Sequence[bytes] = ()) -> None:
        """Log a message against the rules; a story whose lie the rules would take is no story."""
        data = self.signed(kind, message, *signers)
        try:
            self.state.check(data, list(bodies))
        except Problem:
            self.is_lying = True
            self.append(data, bodies)
            return
        raise AssertionError("the rules would have taken this")

    def replace(self, index: int, data: bytes, bodies: Sequence[bytes] | None = None) -> None:
        """Put another envelope or other bodies in an entry's place."""
        self.entries[index] = Logged(data, list(self.entries[index].bodies if bodies is None else bodies))

    def find(self, kind: Kind, number: int = 0) -> int:
        """Give the index of the n-th entry of a kind."""
        found = [at for at, one in enumerate(self.entries) if envelope.open_envelope(one.data).kind is kind]
        return found[number]

    def checkpoint(self) -> bytes:
        """Sign what is logged, lies included."""
        if self.log_key == "log":
            return self.signed_head(self.entries)
        root = merkle.root([entry.data for entry in self.entries])
        return checkpoint.sign_checkpoint_twice(
            Checkpoint(self.origin, len(self.entries), root), key(self.log_key)
        )

    def signed_head(self, entries: Sequence[Logged], *, by: str = "log") -> bytes:
        """Sign a list of entries."""
        root = merkle.root([entry.data for entry in entries])
        return checkpoint.sign_checkpoint(Checkpoint(ORIGIN, len(entries), root), key(by))

    def leaf(self, index: int) -> bytes:
        """Give an entry's leaf hash."""
        return merkle.leaf_hash(self.entries[index].data)


def lying(federation: Federation) -> Liar:
    """Take over an honest federation."""
    values = {field.name: getattr(federation, field.name) for field in dataclasses.fields(Federation)}
    return Liar(**values)


def counted(**changes: Any) -> Liar:
    """Documents, counts, rosters and links are logged."""
    return lying(enrolled(**{**parts(), **changes}))


def released() -> Liar:
    """Everybody has released the first epoch; its close is due."""
    hub = counted()
    for one in hub.enterprises:
        hub.release(one.id)
    return hub


def settled() -> Liar:
    """Two epochs are released and closed."""
    return lying(closed(EPOCH, NEXT, **parts()))


Story = Callable[[Path], None]
STORIES: dict[str, Story] = {}


def story(tell: Callable[[Path], Liar]) -> Callable[[Path], Liar]:
    """Register a story that ends with a bundle."""

    @functools.wraps(tell)
    def written(folder: Path) -> None:
        hub = tell(folder)
        trust_root = hub.write_bundle(folder / "bundle")
        if hub.pinned:
            trust_root.write_bytes(hub.pinned)

    STORIES[tell.__name__] = written
    return tell


_TYPES: dict[Kind, type[Any]] = {
    Kind.TRUST_ROOT: trust_pb2.TrustRoot,
    Kind.PACK: policy_pb2.PackRecord,
    Kind.COUNT_REPORT: custodian_pb2.CountReport,
}


def message_at(hub: Liar, index: int) -> Any:
    """Parse an entry's message."""
    opened = envelope.open_envelope(hub.entries[index].data)
    return opened.parse(_TYPES[opened.kind])


def witnessed(quorum: int = 1, **changes: Any) -> Liar:
    hub = lying(Federation(**parts(), **changes))
    root = hub.trust_root()
    root.witness_vkeys.append(str(WITNESS))
    root.witness_quorum = quorum
    hub.publish_trust(root)
    return hub
