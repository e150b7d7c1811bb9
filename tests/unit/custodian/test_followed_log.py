"""The followed log: trust roots in order, read anew within limits, usable while the hub is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from custodian.followed_log import FollowedLog
from privacy import trust
from privacy.trust import TrustRoot
from protos.problems import Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_BUSY
from runtime.log_follower import Entry
from runtime.log_mirror import LogMirror
from runtime.log_reader import FolderLog
from tests.unit.custodian.simulators import Federation, enterprise


class Clock:
    """A clock moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """Remembers the entries it was given."""

    def __init__(self) -> None:
        self.indices: list[int] = []

    def take(self, entry: Entry) -> None:
        self.indices.append(entry.index)


class Following:
    """A followed log with its clock and what it saw."""

    def __init__(self, federation: Federation, folder: Path, log_folder: Path | None = None) -> None:
        self.clock, self.seen = Clock(), Seen()
        pinned = federation.roots[0]
        self.log = FollowedLog(
            LogMirror(folder, trust.verify_first(pinned).log_vkey),
            FolderLog(log_folder or federation.hub.folder),
            pinned,
            self.seen,
            refresh_seconds=10,
            clock=self.clock,
        )
        self.log.start()

    def version_for(self, enterprise_id: str) -> int:
        return self.log.root_where(lambda root: knows(root, enterprise_id)).version


def knows(root: TrustRoot, enterprise_id: str) -> bool:
    return any(item.id == enterprise_id for item in root.enterprises)


def test_unknown_enterprise_makes_the_log_be_read_but_not_too_often(
    federation: Federation, tmp_path: Path
) -> None:
    following = Following(federation, tmp_path / "mirror")
    assert following.version_for("bikeshare") == 1
    assert following.seen.indices == [0]
    federation.publish_root(enterprise(), enterprise("metro"))
    assert following.version_for("metro") == 1
    following.clock.now += 10
    assert following.version_for("metro") == 2
    federation.publish_root(enterprise(), enterprise("metro"), enterprise("bank"))
    assert following.version_for("bank") == 2
    following.clock.now += 10
    assert following.version_for("bank") == 3
    assert following.seen.indices == [0, 1, 2]


def test_copy_is_enough_while_the_hub_is_away(federation: Federation, tmp_path: Path) -> None:
    federation.publish_root(enterprise(), enterprise("metro"))
    Following(federation, tmp_path / "mirror").log.refresh()
    away = tmp_path / "away"
    away.mkdir()
    restarted = Following(federation, tmp_path / "mirror", away)
    assert restarted.version_for("metro") == 2
    with pytest.raises(Unavailable) as problem:
        restarted.version_for("bank")
    assert problem.value.reason == REASON_BUSY
    assert isinstance(restarted.log.problem, Unavailable)
    assert not restarted.log.is_stopped


def test_rewritten_history_stops_until_it_is_explained(federation: Federation, tmp_path: Path) -> None:
    following = Following(federation, tmp_path / "mirror")
    following.log.refresh()
    honest = list(federation.hub.entries)
    federation.hub.entries[0] = federation.hub.entries[0] + b"\x00"
    federation.hub.publish(b"another")
    with pytest.raises(Unverified):
        following.log.refresh()
    assert following.log.is_stopped
    with pytest.raises(Unverified):
        following.version_for("bikeshare")
    federation.hub.entries[:] = honest
    federation.hub.write_log()
    following.log.refresh()
    assert following.version_for("bikeshare") == 1


def test_trust_root_signed_by_nobody_stops(federation: Federation, tmp_path: Path) -> None:
    from privacy import envelope
    from privacy.envelope import Kind
    from tests.unit.custodian.simulators import signing_key

    following = Following(federation, tmp_path / "mirror")
    payload = envelope.open_envelope(federation.roots[0]).payload
    federation.hub.publish(envelope.sign(payload, Kind.TRUST_ROOT, [signing_key("thief")]))
    with pytest.raises(Unverified):
        following.log.refresh()
    assert following.log.is_stopped
    assert following.log.root.version == 1
