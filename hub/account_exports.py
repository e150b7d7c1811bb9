"""An account for its person and for machines: balance, state, choices, every line; signed by the hub."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import Engine

from hub.book_views import BookViews
from hub.explaining import Explanation, explain
from hub.state import State
from hub.store import books
from hub.store.tickets import TakenTicket, read_tickets
from hub.views import noise_halfwidth, root_up
from privacy.exports import ACCOUNT, sign_export
from privacy.keys import SigningKey
from protos.epochs import format_epoch
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND

ACTS_SHOWN_MAX = 200


class AccountExports:
    """Shows accounts as the log stands; changes nothing."""

    def __init__(self, state: State, readers: Engine, key: SigningKey, book_views: BookViews) -> None:
        self._state = state
        self._readers = readers
        self._book_views = book_views
        self._key = key

    def export(self, account: bytes) -> bytes:
        """Give one account's signed export; raises Unavailable NOT_FOUND."""
        return self.sign(self.content(account))

    def sign(self, content: dict[str, Any]) -> bytes:
        """Sign what an export says."""
        return sign_export(content, ACCOUNT, self._key)

    def content(self, account: bytes) -> dict[str, Any]:
        """Give what an export says."""
        participants = self._state.log.participants
        with self._readers.begin() as connection:
            found = books.read_balance(connection, account)
            linked = books.account_pseudonyms(connection, account)
            if found is None and not linked:
                raise Unavailable(
                    REASON_NOT_FOUND, "There is no such account.", remedy="Check the account's id."
                )
            explanation = explain(connection, self._state, account)
            acts = read_tickets(connection, self._state.account_names(account), ACTS_SHOWN_MAX)
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
            "pooling": [
                {"from": format_epoch(epoch), "programme": programme, "consents": consents}
                for epoch, programme, consents in choices.pooled_by(account)
            ],
            "acts": [_act(one) for one in acts],
            "wallets": [one.model_dump() for one in self._book_views.person(account).sections],
            **_figures(explanation),
            "lines": explanation.lines,
        }


def _act(taken: TakenTicket) -> dict[str, Any]:
    """Say by whose word somebody acted on the account or looked at it, and where the log says so."""
    return {
        "at": datetime.datetime.fromtimestamp(taken.at, datetime.UTC).isoformat(),
        "purpose": taken.purpose,
        "enterprise": taken.enterprise,
        "entry": taken.index,
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
