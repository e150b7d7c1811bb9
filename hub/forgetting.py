"""Lets the books follow erasures, beside intake; what is cut off, the next start does."""

from __future__ import annotations

import logging
import threading

from hub.accounts import Closer
from hub.state import State
from hub.store.dialects import scrub
from hub.store.erasures import ERASED_TABLES
from hub.store.location import Location, SqliteFile
from protos.problems import Problem

logger = logging.getLogger(__name__)


class Forgetting:
    """One thread that makes again what rests on erased rows; orders that come meanwhile share a turn."""

    def __init__(self, state: State, closer: Closer, location: Location) -> None:
        self._state = state
        self._closer = closer
        self._location = location
        self._due = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._follow, name="erasure", daemon=True)

    def start(self) -> None:
        """Begin, at once where the hub may have stopped between an erasure and what follows from it."""
        if self._is_open():
            self._due.set()
        self._thread.start()

    def stop(self) -> None:
        """End once what is under way is done: nothing writes in the hub's folder any more."""
        self._stopping = True
        self._due.set()
        if self._thread.is_alive():
            self._thread.join()

    def order(self) -> None:
        """Have it done soon; called after the commit of an erasure."""
        self._due.set()

    def forget(self) -> None:
        """Fold the books without the erased rows, and take their bytes out of the database's files."""
        try:
            self._closer.forget_erased()
        except Problem:
            logger.warning("the books do not follow an erasure yet; the next close or start does it")
        # A server's tables are written anew when its operator says so: nobody gets at them meanwhile.
        if isinstance(self._location, SqliteFile) and not scrub(self._location, ERASED_TABLES):
            logger.warning(
                "readers keep overwritten bytes in the log of writes: cgsp-hub scrub takes them out"
            )

    def _follow(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._stopping:
                return
            self.forget()

    def _is_open(self) -> bool:
        orders, last = self._state.erasures, self._state.last_closed
        closed_at = self._state.close_index(last) if last is not None else None
        return bool(orders) and orders[-1].index > (-1 if closed_at is None else closed_at)
