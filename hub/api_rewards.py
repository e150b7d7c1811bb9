"""Rewards over HTTPS, for apps with an enterprise's certificate and for the portal without one.

A ticket travels as base64; it is bound to its order, so whoever sees it can do nothing else with it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine

from hub.callers import Peer, require
from hub.certificates import Certificates
from hub.charity import plantings
from hub.log import PublicLog
from hub.participation import Participation
from hub.point_moves import PointMoves
from hub.redemption import Caller, Redemptions
from hub.ticket_text import TicketText, ticket_bytes
from privacy.asked import PORTAL
from protos.v1 import reward_pb2
from runtime.identity import Role, SpiffeName

KeyText = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
PathId = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
PathKey = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="16 bytes in hex")]
TicketQuery = Annotated[TicketText, Query(description="base64url of a link ticket to look")]
Id = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class OrderBody(BaseModel):
    """An order and the ticket that names it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: KeyText
    programme: Id
    programme_version: Annotated[int, Field(ge=1, lt=2**32)]
    reward: Id
    quantity: Annotated[int, Field(ge=1, le=1_000)] = 1
    ticket: TicketText

    def order(self) -> reward_pb2.RewardOrder:
        """Give the order whose bytes the ticket's subject is of."""
        return reward_pb2.RewardOrder(
            key=bytes.fromhex(self.key),
            programme=self.programme,
            programme_version=self.programme_version,
            reward=self.reward,
            quantity=self.quantity,
        )

    def ticket_bytes(self) -> bytes:
        """Give the ticket's envelope; raises Malformed unless it is base64."""
        return ticket_bytes(self.ticket)


class TicketBody(BaseModel):
    """A ticket to look, of the person who ordered; an enterprise's certificate needs none."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ticket: TicketText = ""


class KeyBody(TicketBody):
    """The key of a confirmation or cancellation: the same again gives the first answer."""

    key: KeyText


class CollectBody(BaseModel):
    """What to collect; the ticket names the operation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: KeyText
    programme: Id
    ticket: TicketText


class GiftBody(CollectBody):
    """Points for another account; the ticket names the operation."""

    to_account: KeyText
    points: Annotated[int, Field(ge=1, lt=2**53)]


@dataclass(frozen=True, slots=True)
class RewardParts:
    """What the routes answer from."""

    redemptions: Redemptions
    certificates: Certificates
    participation: Participation
    moves: PointMoves
    readers: Engine
    log: PublicLog


def reward_routes(parts: RewardParts) -> APIRouter:
    """Make the routes."""
    router = APIRouter(tags=["rewards"])
    _order_routes(router, parts)
    _move_routes(router, parts.moves)
    _certificate_routes(router, parts)
    return router


def _order_routes(router: APIRouter, parts: RewardParts) -> None:
    redemptions = parts.redemptions

    @router.get("/v1/rewards")
    def offers(programme: Annotated[str, Query(max_length=63)] = "") -> list[dict[str, Any]]:
        """List what programmes in force offer."""
        return [_json(one) for one in redemptions.offers(programme)]

    @router.post("/v1/quotes")
    def quote(body: OrderBody, client: Peer) -> dict[str, Any]:
        """Say what an order would cost, and what speaks against it."""
        return _json(redemptions.quote(_caller(client), body.order(), body.ticket_bytes()))

    @router.post("/v1/redemptions")
    def reserve(body: OrderBody, client: Peer) -> dict[str, Any]:
        """Reserve an order."""
        return _json(redemptions.reserve(_caller(client), body.order(), body.ticket_bytes()))

    @router.get("/v1/redemptions/{order_key}")
    def find(order_key: PathKey, client: Peer, ticket: TicketQuery = "") -> dict[str, Any]:
        """Say how an order stands, to who ordered: with a ticket to look, or an enterprise's certificate."""
        return _json(redemptions.find(_known(parts, client, ticket), bytes.fromhex(order_key)))

    @router.post("/v1/redemptions/{order_key}/confirmation")
    def confirm(order_key: PathKey, body: KeyBody, client: Peer) -> dict[str, Any]:
        """Record that the partner delivered."""
        require(client, Role.NODE, Role.OPERATOR)
        keys = bytes.fromhex(body.key), bytes.fromhex(order_key)
        return _json(redemptions.confirm(_caller(client), *keys))

    @router.post("/v1/redemptions/{order_key}/cancellation")
    def cancel(order_key: PathKey, body: KeyBody, client: Peer) -> dict[str, Any]:
        """Call an order off."""
        keys = bytes.fromhex(body.key), bytes.fromhex(order_key)
        return _json(redemptions.cancel(_known(parts, client, body.ticket), *keys))


def _move_routes(router: APIRouter, moves: PointMoves) -> None:
    @router.post("/v1/collections")
    def collect(body: CollectBody, client: Peer) -> dict[str, int]:
        """Take what waits to be collected in a programme."""
        key, ticket = bytes.fromhex(body.key), ticket_bytes(body.ticket)
        return {"points": moves.collect(_caller(client), key, body.programme, ticket)}

    @router.post("/v1/gifts")
    def give(body: GiftBody, client: Peer) -> dict[str, int]:
        """Give points to another account, where the programme allows it."""
        points = moves.give(
            _caller(client),
            bytes.fromhex(body.key),
            body.programme,
            to_account=bytes.fromhex(body.to_account),
            points=body.points,
            ticket=ticket_bytes(body.ticket),
        )
        return {"points": points}


def _certificate_routes(router: APIRouter, parts: RewardParts) -> None:
    @router.post("/v1/redemptions/{order_key}/certificate")
    def certificate(order_key: PathKey, client: Peer, body: TicketBody | None = None) -> dict[str, Any]:
        """Sign the certificate of a confirmed honour or attestation."""
        known = _known(parts, client, body.ticket if body is not None else "")
        found = parts.certificates.issue(known, bytes.fromhex(order_key))
        signed = base64.b64encode(found.envelope).decode()
        return {"certificate": signed, "salt": found.salt.hex(), "account": found.account.hex()}

    @router.get("/v1/programmes/{programme}/plantings/{reward}")
    def planted(
        programme: PathId, reward: PathId, since: Annotated[int, Query(ge=0)] = 0
    ) -> list[dict[str, Any]]:
        """List what was planted of a charity reward from an operation on, twenty at a time, with proofs."""
        with parts.readers.begin() as connection:
            found = plantings(connection, parts.log, programme, reward, since=since)
            return [one.to_json() for one in found]


def _caller(client: SpiffeName | None) -> Caller:
    if client is not None and client.role is Role.NODE:
        return Caller(client.id)
    return Caller(PORTAL, is_operator=client is not None and client.role is Role.OPERATOR)


def _known(parts: RewardParts, client: SpiffeName | None, ticket: str) -> Caller:
    """Say who asks about an order: without a certificate, whoever a ticket to look is of."""
    caller = _caller(client)
    if not caller.is_portal or not ticket:
        return caller
    return replace(caller, account=parts.participation.viewed(ticket_bytes(ticket)))


def _json(message: Message) -> dict[str, Any]:
    """Write a message with snake_case names, whole numbers as numbers and keys in hex."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if isinstance(value, bytes):
            value = value.hex()
        found[field.name] = list(value) if field.is_repeated else value
    return found
