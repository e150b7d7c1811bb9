"""An account for its person and for machines: balance, state, choices, every line; signed by the hub."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from hub.explaining import Explanation, explain
from hub.state import State
from hub.store import books
from hub.views import noise_halfwidth, root_up
from privacy.exports import ACCOUNT, sign_export
from privacy.keys import SigningKey
from protos.epochs import format_epoch
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND


class AccountExports:
    """Shows accounts as the log stands; changes nothing."""

    def __init__(self, state: State, readers: Engine, key: SigningKey) -> None:
        self._state = state
        self._readers = readers
        self._key = key

    def export(self, account: bytes) -> bytes:
        """Give one account's signed export; raises Unavailable NOT_FOUND."""
        return sign_export(self.content(account), ACCOUNT, self._key)

    def content(self, account: bytes) -> dict[str, Any]:
        """Give what an export says."""
        participants = self._state.log.participants
        with self._readers.begin() as connection:
            found = books.read_balance(connection, account)
            linked = books.account_pseudonyms(connection, account)
            if found is None and not linked:
                raise Unavailable(REASON_NOT_FOUND, "There is no such account.")
            explanation = explain(connection, self._state, account)
        closed, choices = self._state.last_closed, participants.choices
        return {
            "account": account.hex(),
            "origin": self._state.origin,
            "log_size": self._state.size,
            "epoch": None if closed is None else format_epoch(closed),
            "state": participants.state(account).value,
            "control_proved": participants.is_proved(account),
            "merged_into": _other(participants.current(account), account),
            "choices": [
                {"from": format_epoch(epoch), "overlap_class": overlap_class, "enterprise": enterprise}
                for epoch, overlap_class, enterprise in choices.chosen_by(account)
            ],
            **_figures(explanation),
            "lines": explanation.lines,
        }


def _figures(found: Explanation) -> dict[str, Any]:
    half = noise_halfwidth(found.variance_mg2)
    return {
        "balance_mg": found.balance_mg,
        "sigma_mg": root_up(found.variance_mg2),
        "low_mg": found.balance_mg - half,
        "high_mg": found.balance_mg + half,
        "points": found.points,
    }


def _other(current: bytes, account: bytes) -> str | None:
    return None if current == account else current.hex()
