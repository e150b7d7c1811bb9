"""The shares a custodian holds: the one in use, and one that waits for the trust root to name it.

When the trust root names the waiting one it takes the other's place for good: an old share that is kept could
be stolen later, and together with another old one would still carry the key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from custodian.share import KeyShare, RestingShare, obstacle
from privacy.trust import TrustRoot
from runtime.files import sync_folder

logger = logging.getLogger(__name__)


class Holding:
    """Gives the share a trust root names; safe to use from several threads."""

    def __init__(
        self,
        share: KeyShare,
        upcoming: KeyShare | None = None,
        *,
        on_succession: Callable[[], None] = lambda: None,
    ) -> None:
        self._share = share
        self._upcoming = upcoming
        self._on_succession = on_succession
        self._lock = threading.Lock()

    @classmethod
    def open(cls, resting: RestingShare, upcoming: RestingShare) -> Holding:
        """Read both places; the waiting share's file replaces the other when it comes into use."""

        def succeed() -> None:
            replace_share(upcoming.path, resting.path)

        waiting = upcoming.read() if upcoming.path.exists() else None
        return cls(resting.read(), waiting, on_succession=succeed)

    @property
    def share(self) -> KeyShare:
        """Give the share in use."""
        return self._share

    def under(self, root: TrustRoot) -> KeyShare:
        """Give the share in use, after a trust root that names the waiting one has put that in its place."""
        with self._lock:
            waiting = self._upcoming
            if waiting is not None and obstacle(waiting, root) is None:
                self._on_succession()
                self._share, self._upcoming = waiting, None
                logger.info(
                    "share succeeded",
                    extra={"key_id": waiting.key.key_id.hex(), "version": root.version},
                )
            return self._share


def replace_share(waiting: Path, resting: Path) -> None:
    """Put the waiting share's file in the place of the one in use, durably."""
    waiting.replace(resting)
    sync_folder(resting.parent)
