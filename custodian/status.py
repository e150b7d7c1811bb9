"""What a custodian's own files say about it: share, trust root, counts; nothing is asked of the hub."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from custodian.setup import Opened
from custodian.store import Store
from privacy import trust
from privacy.trust import TrustRoot
from runtime.log_follower import follow_trust_root
from runtime.log_mirror import LogMirror


def trust_root_known(opened: Opened) -> TrustRoot:
    """Give the trust root in force in this custodian's copy of the log."""
    pinned = opened.pinned_trust_root()
    mirror = LogMirror(opened.home.log, trust.verify_first(pinned).log_vkey)
    return follow_trust_root(mirror.entries(), pinned)


def describe(folder: Path) -> dict[str, Any]:
    """Describe share, trust root and counts; nothing is asked of the hub."""
    opened = Opened.load(folder)
    share, root = opened.resting_share.read(), trust_root_known(opened)
    waiting = opened.next_share.read() if opened.next_share.path.exists() else None
    store = Store(opened.home.database)
    try:
        total, unreported = store.totals()
        by_enterprise = store.totals_by_enterprise()
        chain = store.chain_end()
    finally:
        store.close()
    identity = opened.identity()
    return {
        "id": opened.settings.id,
        "origin": opened.settings.origin,
        "listen": opened.settings.listen,
        "key_id": share.key.key_id.hex(),
        "index": share.share.index,
        "threshold": share.key.threshold,
        "waiting_key_id": waiting.key.key_id.hex() if waiting is not None else "",
        "trust_root_version": root.version,
        "evaluations_total": total,
        "unreported": unreported,
        "reports": chain.sequence,
        "enterprises": {
            enterprise.id: {
                "used": by_enterprise.get(enterprise.id, 0),
                "granted": root.quota_at_custodian(enterprise.id),
                "suspended": enterprise.suspended,
            }
            for enterprise in root.enterprises
        },
        "certificate_until": identity.not_after.isoformat(),
        "certificate_note": identity.renewal_note(datetime.datetime.now(datetime.UTC)),
    }
