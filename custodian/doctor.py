"""Examines a custodian's home and its hub without changing them: what is wrong, and what to do about it."""

from __future__ import annotations

import datetime
from pathlib import Path

from custodian.setup import Opened
from custodian.share import Purpose
from custodian.status import trust_root_known
from custodian.store import Store
from privacy import sodium
from runtime.checks import Check, certificate_check, looked_at
from runtime.log_follower import Witnesses, read_head
from runtime.log_reader import HttpLog

HUB_SECONDS_MAX = 5.0


def examine(folder: Path) -> list[Check]:
    """Make all checks; what depends on a failed one is left out."""
    checks = [
        looked_at("libsodium", sodium.provider),
        looked_at("home", lambda: Opened.load(folder).settings.id),
    ]
    if not checks[-1].is_good:
        return checks
    opened = Opened.load(folder)
    checks += [
        looked_at("signing key", lambda: opened.home.signing_key().keyid[:16]),
        certificate_check(opened.identity, datetime.datetime.now(datetime.UTC)),
        looked_at("database", lambda: _database(opened)),
        looked_at("share", lambda: f"index {opened.resting_share.read().share.index}"),
        *_waiting_share(opened),
        *_beacon_share(opened),
        looked_at("trust root", lambda: f"version {trust_root_known(opened).version}"),
    ]
    if all(check.is_good for check in checks):
        checks.append(looked_at("share in the trust root", lambda: _share_in_force(opened)))
        checks.append(looked_at("hub's log", lambda: _log(opened)))
    return checks


def _database(opened: Opened) -> str:
    store = Store(opened.home.database)
    try:
        total, unreported = store.totals()
    finally:
        store.close()
    return f"{total} evaluations charged, {unreported} not in the log yet"


def _waiting_share(opened: Opened) -> list[Check]:
    """Look at the share that waits for a trust root to name it, if there is one."""
    waiting = opened.next_share
    if not waiting.path.exists():
        return []
    return [looked_at("waiting share", lambda: f"of key {waiting.read().key.key_id.hex()[:16]}")]


def _beacon_share(opened: Opened) -> list[Check]:
    """Look at the share of the beacon key, where this custodian has one."""
    resting = opened.resting(Purpose.BEACON)
    if not resting.path.exists():
        return []

    def in_force() -> str:
        share = resting.read()
        share.check_against(trust_root_known(opened))
        return f"key {share.key_id.hex()[:16]}, index {share.share.index}"

    return [looked_at("beacon share", in_force)]


def _share_in_force(opened: Opened) -> str:
    share, root = opened.resting_share.read(), trust_root_known(opened)
    share.check_against(root)
    opened.check_registered_key(root)
    return f"key {share.key_id.hex()[:16]}, {share.key.threshold} of {len(root.custodians)}"


def _log(opened: Opened) -> str:
    root = trust_root_known(opened)
    ca_pem = opened.identity().ca_pem
    with HttpLog(opened.settings.hub_https, ca_pem, timeout_seconds=HUB_SECONDS_MAX) as reader:
        head = read_head(reader, root.log_vkey, Witnesses.of(root))
    return f"{head.size} entries, signature holds"
