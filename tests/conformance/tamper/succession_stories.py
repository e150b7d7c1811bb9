"""Lies about the log's succession: its key replaced by too few, over another history, or still in use."""

from __future__ import annotations

from pathlib import Path

from privacy.envelope import Kind
from tests.conformance.tamper.liar import (
    BIKES,
    Liar,
    counted,
    lying,
    released,
    story,
)
from tests.simulator import (
    enrolled,
)
from tests.unit.auditor.city import parts

NEXT_ORIGIN = "cgsp.example/log-two"


def succeeded() -> Liar:
    """The first epoch was released under the first log key and closed under the second."""
    hub = released()
    hub.succeed(NEXT_ORIGIN)
    hub.close()
    return hub


@story
def log_key_replaced_by_one_signer(folder: Path) -> Liar:
    """One of three root keys puts another log key in force."""
    hub = released()
    hub.lie(Kind.TRUST_ROOT, hub.succession(NEXT_ORIGIN, "log-two"), hub.root_names[0])
    return hub


@story
def log_key_replaced_over_another_history(folder: Path) -> Liar:
    """The version that replaces the log's key names a checkpoint of a tree that this log never had."""
    hub, other = released(), lying(enrolled(**parts(), batch_min=2))
    root = hub.succession(NEXT_ORIGIN, "log-two", other.signed_head(other.entries))
    hub.lie(Kind.TRUST_ROOT, root, *hub.root_names[:2])
    return hub


@story
def replaced_log_key_still_signs(folder: Path) -> Liar:
    """After the log's key was replaced, its old key signs what came behind."""
    hub = succeeded()
    hub.checkpoint = lambda: hub.signed_head(hub.entries)  # type: ignore[method-assign]
    return hub


@story
def message_for_the_replaced_origin(folder: Path) -> Liar:
    """A message signed for the origin before is logged under the next."""
    hub = counted()
    message = hub.reservation(BIKES)
    hub.succeed(NEXT_ORIGIN)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub
