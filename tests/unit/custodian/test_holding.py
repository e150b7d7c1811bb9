"""Succession of shares: the waiting one serves from the trust root that names it on, the old one is gone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from custodian import steps
from custodian.ceremony import Recipient
from custodian.doctor import examine
from custodian.evaluation import Evaluator, Turns
from custodian.followed_log import FollowedLog
from custodian.holding import Holding
from custodian.quota import Rate
from custodian.setup import Opened, import_share
from custodian.status import describe
from custodian.store import Store
from privacy import pseudonyms, trust
from privacy.pseudonyms import BlindedBatch, PseudonymKeyView
from protos.problems import Malformed, Unavailable, Unverified
from runtime.log_follower import Entry
from runtime.log_mirror import LogMirror
from tests.unit.custodian.simulators import (
    CUSTODIANS,
    ENTERPRISE,
    Federation,
    blind,
    enterprise,
    sealing_key,
    signing_key,
)

NAMES = ("a", "b", "c")


class Ignoring:
    """Takes no interest in entries."""

    def take(self, entry: Entry) -> None:
        pass


@pytest.fixture
def homes(federation: Federation) -> dict[str, Opened]:
    opened = {name: federation.home(name) for name in CUSTODIANS}
    for name, one in opened.items():
        one.home.public.write_bytes(Recipient.of(name, signing_key(name), sealing_key(name)).encode())
    return opened


def started(federation: Federation, opened: Opened) -> Evaluator:
    """Start a custodian's work over its home, without a network."""
    pinned = federation.roots[0]
    log = FollowedLog(
        LogMirror(opened.home.log, trust.verify_first(pinned).log_vkey),
        federation.hub.reader,
        pinned,
        Ignoring(),
        refresh_seconds=0,
        clock=lambda: 0.0,
    )
    log.start()
    return Evaluator(
        Holding.open(opened.resting_share, opened.next_share),
        log,
        Store(opened.home.database),
        Turns(2),
        Rate(per_minute=60_000, burst=65_535),
        clock=lambda: 1_600_000_000.0,
        random=os.urandom,
        threads=1,
        on_charged=lambda: None,
    )


def session(homes: dict[str, Opened], folder: Path, key_file: Path | None) -> PseudonymKeyView:
    """Hold a ceremony without a dealer; every custodian imports its new share."""
    publics = {name: one.home.public for name, one in homes.items()}
    if key_file is None:
        steps.begin(publics, folder, threshold=2)
    else:
        steps.begin_refresh(publics, folder, key_file=key_file)
    for _ in range(2):
        for one in homes.values():
            steps.exchange(one.home.folder, folder)
    for one in homes.values():
        key = steps.finish(one.home.folder, folder).share.key
    for name, one in homes.items():
        import_share(one.home.folder, folder / f"{name}.share")
    return key


def named(
    federation: Federation, custodians: dict[str, Evaluator], *, quorum: tuple[int, ...] = (1, 2)
) -> list[bytes]:
    """Get the same persons' pseudonyms as an enterprise does that knows the newest trust root."""
    batch = blind(*NAMES)
    answers = []
    for index in quorum:
        name = CUSTODIANS[index - 1]
        order = federation.order(name, batch.blinded, quorum)
        answers.append(custodians[name].evaluate(ENTERPRISE, order, batch.blinded).answer)
    return pseudonyms.combine_batch(batch, answers, federation.ceremony.key, quorum)


def publish(federation: Federation, key: PseudonymKeyView) -> None:
    federation.ceremony = replace(federation.ceremony, key=key)
    federation.publish_root(enterprise())


@pytest.fixture
def key_file(federation: Federation, tmp_path: Path) -> Path:
    path = tmp_path / "pseudonym-key.json"
    path.write_bytes(federation.ceremony.key_file)
    return path


def test_refreshed_shares_give_the_same_pseudonyms_and_the_old_ones_are_gone(
    federation: Federation, homes: dict[str, Opened], tmp_path: Path, key_file: Path
) -> None:
    before = {name: one.resting_share.read() for name, one in homes.items()}
    names = named(federation, {name: started(federation, one) for name, one in homes.items()})
    key = session(homes, tmp_path / "session", key_file)
    running = {name: started(federation, one) for name, one in homes.items()}
    assert named(federation, running) == names, "until the trust root names the new shares the old ones serve"
    publish(federation, key)
    for quorum in ((1, 2), (1, 3), (2, 3)):
        assert named(federation, running, quorum=quorum) == names
    assert key.key_id == before["auditor"].key.key_id
    for name, one in homes.items():
        assert one.resting_share.read().key == key
        assert not one.next_share.path.exists()
        assert one.resting_share.read().share.secret != before[name].share.secret


def test_new_share_beside_an_old_one_fails_its_proof(
    federation: Federation, homes: dict[str, Opened], tmp_path: Path, key_file: Path
) -> None:
    old = homes["regulator"].resting_share.read().share
    key = session(homes, tmp_path / "session", key_file)
    new = homes["auditor"].next_share.read().share
    batch = blind(*NAMES)
    answers = [pseudonyms.evaluate_batch(one, (1, 2), batch.blinded, os.urandom) for one in (old, new)]
    with pytest.raises(Unverified, match="custodian 1"):
        pseudonyms.combine_batch(batch, answers, key, (1, 2))
    with pytest.raises(Unverified, match="custodian 2"):
        pseudonyms.combine_batch(batch, answers, federation.ceremony.key, (1, 2))


def test_order_for_the_shares_before_a_refresh_is_answered_by_nobody(
    federation: Federation, homes: dict[str, Opened], tmp_path: Path, key_file: Path
) -> None:
    batch: BlindedBatch = blind("a")
    stale = federation.order("auditor", batch.blinded)
    key = session(homes, tmp_path / "session", key_file)
    auditor = started(federation, homes["auditor"])
    publish(federation, key)
    named(federation, {"auditor": auditor, "regulator": started(federation, homes["regulator"])})
    with pytest.raises(Unavailable, match="other shares"):
        auditor.evaluate(ENTERPRISE, stale, batch.blinded)


def test_rotation_gives_other_pseudonyms_under_another_key(
    federation: Federation, homes: dict[str, Opened], tmp_path: Path
) -> None:
    running = {name: started(federation, one) for name, one in homes.items()}
    names, old = named(federation, running), federation.ceremony.key
    key = session(homes, tmp_path / "session", None)
    assert describe(homes["auditor"].home.folder)["waiting_key_id"] == key.key_id.hex()
    checks = {check.name: check for check in examine(homes["auditor"].home.folder)}
    assert checks["waiting share"].is_good
    assert key.key_id.hex()[:16] in checks["waiting share"].detail
    running = {name: started(federation, one) for name, one in homes.items()}
    publish(federation, key)
    assert set(named(federation, running)).isdisjoint(names)
    assert key.key_id != old.key_id


def test_share_imported_again_does_not_wait(
    federation: Federation, homes: dict[str, Opened], tmp_path: Path
) -> None:
    path = tmp_path / "again.share"
    path.write_bytes(federation.ceremony.sealed_shares["auditor"])
    import_share(homes["auditor"].home.folder, path)
    assert not homes["auditor"].next_share.path.exists()


def test_passphrase_given_with_a_later_share_seals_both(
    federation: Federation, homes: dict[str, Opened], tmp_path: Path, key_file: Path
) -> None:
    session(homes, tmp_path / "session", key_file)
    (tmp_path / "passphrase").write_text("correct horse\n")
    folder = homes["auditor"].home.folder
    import_share(folder, tmp_path / "session" / "auditor.share", passphrase_file=str(tmp_path / "passphrase"))
    opened = Opened.load(folder)
    assert opened.resting_share.read().key == federation.ceremony.key
    assert opened.next_share.read().key.key_id == federation.ceremony.key.key_id
    with pytest.raises((Unverified, Malformed)):
        homes["auditor"].next_share.read()
