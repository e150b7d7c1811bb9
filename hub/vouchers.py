"""Voucher codes: sealed where they lie, kept for an order when it is made, shown once it is confirmed.

A code belongs to one order for good unless that is called off or lapses before its confirmation, when nobody
has seen it. The key lies in a file of its own beside the hub's keys, never in the database or its copies.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection

from accounting.ledger.books import Reservation
from hub.store import vouchers as store
from hub.store.writer import Writer
from privacy.sealing import KEY_BYTES, open_sealed, seal
from protos.problems import Malformed, Problem, Refused, Unverified
from protos.v1.problem_pb2 import REASON_KEY_UNKNOWN, REASON_OUT_OF_STOCK, REASON_WRONG_SHAPE
from runtime.files import read_private, write_private

CODE_CHARACTERS_MAX = 256
CODES_TOGETHER_MAX = 10_000
# An order is made within moments of its codes being kept for it.
STALE_SECONDS = 3_600
_TAG = b"cgsp voucher\x1f"


def voucher_key(path: Path, connection: Connection, random: Callable[[int], bytes]) -> bytes:
    """Read the key codes are sealed with; the first start makes it.

    Raises Unverified KEY_UNKNOWN where codes lie sealed and this key does not open them, or none is there: a
    new one would make a loss of what was only mislaid.
    """
    code = store.any_code(connection)
    if code is None and not path.exists():
        write_private(path, random(KEY_BYTES))
    if not path.exists():
        raise _other_key(f"{path.name} is not there")
    key = read_private(path, KEY_BYTES)
    if code is not None:
        try:
            open_sealed(code.sealed, key=key, associated=_associated(code.programme, code.reward))
        except Problem:
            raise _other_key(f"{path.name} is another one") from None
    return key


class Vouchers:
    """Keeps codes; they are written in the writer's turn."""

    def __init__(
        self, writer: Writer, key: bytes, *, clock: Callable[[], int], random: Callable[[int], bytes]
    ) -> None:
        self._writer = writer
        self._key = key
        self._clock = clock
        self._random = random

    def load(self, programme: str, reward: str, codes: Sequence[str]) -> int:
        """Take codes; those loaded before are left out. Gives how many are new."""
        if len(codes) > CODES_TOGETHER_MAX or not all(0 < len(one) <= CODE_CHARACTERS_MAX for one in codes):
            raise Malformed(
                REASON_WRONG_SHAPE,
                f"Load at most {CODES_TOGETHER_MAX} codes of 1 to {CODE_CHARACTERS_MAX} characters at once.",
            )
        sealed = [(self._sealed(programme, reward, one), self._mark(one)) for one in codes]
        return self._writer.call(lambda connection: store.add_codes(connection, programme, reward, sealed))

    def hold(self, programme: str, reward: str, order_key: bytes, quantity: int) -> None:
        """Keep codes for an order that is about to be made; raises Refused OUT_OF_STOCK."""
        now = self._clock()

        def keep(connection: Connection) -> int:
            store.reclaim_codes(connection, now - STALE_SECONDS)
            return store.hold_codes(connection, programme, reward, order_key, quantity, now)

        if self._writer.call(keep) < quantity:
            raise Refused(REASON_OUT_OF_STOCK, f"There are not {quantity} codes of {reward} left.")

    def release(self, order_key: bytes) -> None:
        """Give back the codes of an order that was refused."""
        self._writer.call(lambda connection: store.release_codes(connection, order_key))

    def shown(self, connection: Connection, order: Reservation) -> list[str]:
        """Open the codes of a confirmed order."""
        associated = _associated(order.programme, order.reward)
        return [
            open_sealed(sealed, key=self._key, associated=associated).decode()
            for _, sealed in store.codes_of(connection, order.key)
        ]

    def _sealed(self, programme: str, reward: str, code: str) -> bytes:
        associated = _associated(programme, reward)
        return seal(code.encode(), key=self._key, associated=associated, random=self._random)

    def _mark(self, code: str) -> bytes:
        return hmac.new(self._key, _TAG + code.encode(), hashlib.sha256).digest()


def _other_key(why: str) -> Unverified:
    return Unverified(
        REASON_KEY_UNKNOWN,
        f"The database holds sealed voucher codes, and the key that opens them is gone: {why}.",
        remedy="Put back the key that was kept apart. If it is lost for good, so are the codes: delete the "
        "rows of table voucher, and load new codes.",
    )


def _associated(programme: str, reward: str) -> bytes:
    return _TAG + f"{programme}\x1f{reward}".encode()
