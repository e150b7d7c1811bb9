"""The same over HTTPS, for the portal: whoever holds a person's ticket acts for that person, nothing else."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from hub.account_exports import AccountExports
from hub.bounds import CallerBounds
from hub.choosing import Done
from hub.participation import TICKETS_MAX, Asked, Participation
from hub.ticket_text import TicketText, ticket_bytes
from privacy import account_changes as changes
from protos.epochs import format_epoch
from protos.v1 import programme_pb2

CALLS_PER_MINUTE = 60
CALLS_AT_ONCE = 4
Account = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
_KINDS = {
    "prove": changes.PROVE,
    "merge": changes.MERGE,
    "split": changes.SPLIT,
    "close": changes.CLOSE,
    "share": changes.SHARE_OUT,
}


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Body):
    """One person's part of a household."""

    account: Account
    basis_points: Annotated[int, Field(ge=1, le=10_000)]


class ChangeBody(_Body):
    """A change and the tickets (base64) it rests on, in its rule's order."""

    kind: Literal["prove", "merge", "split", "close", "share"]
    tickets: Annotated[list[TicketText], Field(min_length=1, max_length=TICKETS_MAX)]
    parts: Annotated[list[Part], Field(max_length=changes.SHARES_MAX)] = []


class RecordingBody(_Body):
    """Who records an overlap class; an empty enterprise leaves it to the policy."""

    overlap_class: Annotated[str, Field(min_length=1, max_length=128)]
    enterprise: Annotated[str, Field(max_length=64)] = ""
    ticket: TicketText


class PoolBody(_Body):
    """Whether a programme may pool the person's grams."""

    programme: Annotated[str, Field(min_length=1, max_length=64)]
    consents: bool
    ticket: TicketText


class ViewBody(_Body):
    """A ticket for "view"."""

    ticket: TicketText


def add_account_routes(app: FastAPI, participation: Participation, exports: AccountExports) -> None:
    """Add the participants' routes."""
    bounds = CallerBounds(per_minute=CALLS_PER_MINUTE, at_once=CALLS_AT_ONCE)

    @app.post("/v1/my/account", tags=["accounts"])
    def view(body: ViewBody, request: Request) -> dict[str, Any]:
        """Show and explain the account of whoever the ticket logs in, and give its signed export."""
        with bounds.admit(_caller(request)):
            account = participation.viewed(ticket_bytes(body.ticket))
            content = exports.content(account)
            return {"account": content, "export": base64.b64encode(exports.sign(content)).decode()}

    @app.post("/v1/my/account/changes", tags=["accounts"])
    def change(body: ChangeBody, request: Request) -> dict[str, Any]:
        """Prove control, merge, split, close or share out."""
        parts = [(bytes.fromhex(one.account), one.basis_points) for one in body.parts]
        with bounds.admit(_caller(request)):
            tickets = [ticket_bytes(one) for one in body.tickets]
            return _said(participation.change(Asked(_KINDS[body.kind], tickets, parts)))

    @app.post("/v1/my/choices/recording", tags=["accounts"])
    def record(body: RecordingBody, request: Request) -> dict[str, Any]:
        """Say who records an overlap class from the next month on."""
        choice = programme_pb2.Choice()
        choice.recording.overlap_class = body.overlap_class
        choice.recording.enterprise_id = body.enterprise
        with bounds.admit(_caller(request)):
            return _said(participation.choose(choice, ticket_bytes(body.ticket)))

    @app.post("/v1/my/choices/pool", tags=["accounts"])
    def pool(body: PoolBody, request: Request) -> dict[str, Any]:
        """Let a programme pool one's grams from the next month on, or no longer."""
        choice = programme_pb2.Choice()
        choice.pool.programme = body.programme
        choice.pool.consents = body.consents
        with bounds.admit(_caller(request)):
            return _said(participation.choose(choice, ticket_bytes(body.ticket)))


def _said(done: Done) -> dict[str, Any]:
    return {"account": done.account.hex(), "from": format_epoch(done.effective), "entry": done.index}


def _caller(request: Request) -> str:
    return request.client.host if request.client else "unknown"
