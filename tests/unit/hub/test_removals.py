"""Removed and readmitted by versions of the trust root, each in force from its own index."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hub.removals import admitted
from hub.trust_documents import propose
from privacy import trust
from privacy.envelope import Kind
from protos.epochs import Epoch
from protos.problems import Problem, Refused
from protos.v1.release_pb2 import NOTHING_REASON_SUSPENDED
from tests.simulator import Federation, enrolled
from tests.unit.hub.test_trust_documents import GENESIS, party, signed
from tests.unit.hub.world import refused

PARTIES = [party("node", "bikes"), party("node", "metro"), party("auditor", "auditor-one")]
JANUARY, FEBRUARY = Epoch(202101), Epoch(202102)


class Versions:
    """Trust roots of one hub, each signed by two."""

    def __init__(self) -> None:
        self.history: list[bytes] = []

    def next(self, *, remove: Sequence[str] = (), readmit: Sequence[str] = ()) -> trust.TrustRoot:
        proposal = propose(
            GENESIS,
            admitted(PARTIES, self.history, readmit),
            previous=self.history[-1] if self.history else None,
            pseudonym_key=None,
            issued_at=1,
            removed=remove,
        )
        self.history.append(signed(proposal, "operator", "regulator"))
        return trust.describe(self.history[-1])


def test_who_is_removed_stays_out_until_readmitted() -> None:
    versions = Versions()
    versions.next()
    gone = versions.next(remove=("bikes", "auditor-one"))
    assert ([one.id for one in gone.enterprises], gone.auditors) == (["metro"], ())
    assert not versions.next().names("bikes")
    back = versions.next(readmit=("bikes",))
    assert back.names("bikes")
    assert back.auditors == ()


def test_ids_that_stand_nowhere_are_refused() -> None:
    versions = Versions()
    versions.next()
    assert isinstance(refused(lambda: versions.next(remove=("stranger",))), Refused)


def changed(federation: Federation, *, suspended: bool = False, removed: bool = False) -> int:
    root = federation.trust_root(
        version=federation.state.trust.version + 1, previous=federation.state.trust.envelope_hash
    )
    root.enterprises[0].suspended = suspended
    if removed:
        del root.enterprises[0]
    return federation.publish_trust(root).index


def test_both_act_from_the_index_of_their_version() -> None:
    """What stands before counts in every replay; the same message behind it does not."""
    federation = enrolled()
    federation.release("bike-share")
    at = changed(federation, suspended=True)
    data = federation.signed(Kind.RESERVATION, federation.reservation("bike-share", JANUARY), "bike-share")
    before = Federation().state
    for entry in federation.entries[:at]:
        before.apply(before.check(entry.data, entry.bodies))
    assert before.check(data, ())
    with pytest.raises(Problem, match="suspended"):
        federation.state.check(data, ())
    federation.nothing_to_report("bike-share", NOTHING_REASON_SUSPENDED, JANUARY)
    changed(federation, removed=True)
    later = federation.signed(Kind.RESERVATION, federation.reservation("bike-share", FEBRUARY), "bike-share")
    with pytest.raises(Problem, match="no longer in the trust root"):
        federation.state.check(later, ())
