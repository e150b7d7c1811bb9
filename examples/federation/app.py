"""An enterprise's app: what it asks of the hub for persons it has logged in, each act with its own ticket.

The app stands beside the node, on the enterprise's premises: the node signs tickets and sends nothing.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import grpc

from enterprise_node.app import open_tickets
from enterprise_node.membership import Membership
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.tickets import Tickets
from enterprise_node.workspace import Workspace, open_workspace
from privacy import account_changes, choices, codec
from privacy.standing import HUB_ID
from privacy.tickets import subject_of
from protos.problems import Unavailable
from protos.v1 import account_pb2, account_pb2_grpc, envelope_pb2, programme_pb2, reward_pb2, reward_pb2_grpc
from runtime.channels import open_channel
from runtime.identity import Role, SpiffeName
from runtime.retries import unary

KEY_BYTES = 16
CHOICES_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Order:
    """Which reward of which programme, and how many."""

    programme: str
    reward: str
    quantity: int = 1


class App:
    """Acts for the persons of one enterprise."""

    def __init__(self, workspace: Workspace, tickets: Tickets, channel: grpc.Channel) -> None:
        self._workspace = workspace
        self._tickets = tickets
        self._accounts = account_pb2_grpc.AccountServiceStub(channel)
        self._rewards = reward_pb2_grpc.RewardServiceStub(channel)

    def let_pool(self, programme: str, mobiles: Iterable[str]) -> int:
        """Hand in what these persons agreed to: the programme may pool their grams. Gives how many did."""
        choice = programme_pb2.Choice()
        choice.pool.programme, choice.pool.consents = programme, True
        subject = choices.subject(choice)
        tickets = (self._ticket(mobile, "choose", subject) for mobile in mobiles)
        asked = (account_pb2.ChooseRequest(choice=choice, ticket=one) for one in tickets if one)
        count = 0
        while some := list(islice(asked, CHOICES_AT_ONCE)):
            request = account_pb2.ChooseAllRequest(choices=some)
            count += len(unary(partial(self._accounts.ChooseAll, request)).answers)
        return count

    def account(self, mobile: str) -> dict[str, Any] | None:
        """Show a person their account; None for one without."""
        ticket = self._ticket(mobile, "view")
        if ticket is None:
            return None
        request = account_pb2.GetAccountRequest(ticket=ticket)
        export = unary(lambda: self._accounts.GetAccount(request)).export
        content: dict[str, Any] = json.loads(envelope_pb2.Envelope.FromString(export).payload)
        return content

    def prove(self, mobile: str) -> None:
        """Let a person prove that the account is theirs; once is enough for all enterprises."""
        if (self.account(mobile) or {}).get("control_proved"):
            return
        tickets = [self._ticket(mobile, "prove") or b""]
        request = account_pb2.ChangeAccountRequest(kind=account_changes.PROVE, tickets=tickets)
        unary(lambda: self._accounts.ChangeAccount(request))

    def spendable(self, mobile: str, order: Order) -> int:
        """Say how many points a person may spend in an order's programme now."""
        made = _wire(order)
        ticket = self._ticket(mobile, "redeem", subject_of(codec.encode(made)))
        if ticket is None:
            return 0
        request = reward_pb2.QuoteRequest(order=made, ticket=ticket)
        return int(unary(lambda: self._rewards.Quote(request)).spendable_points)

    def due_fen(self, mobile: str, programme: str) -> int:
        """Say what sales owe a person for what they gave to a programme's pool."""
        return self._figure(mobile, f"pool:{programme}", "due")

    def held_milligrams(self, mobile: str) -> int:
        """Say what a person's claims come to now: the last close's, less what they have disposed of since."""
        return self._figure(mobile, "R", "available")

    def redeem(self, mobile: str, order: Order) -> dict[str, Any]:
        """Reserve a reward, have the partner deliver, confirm."""
        made = _wire(order)
        ticket = self._ticket(mobile, "redeem", subject_of(codec.encode(made))) or b""
        reserve = reward_pb2.ReserveRequest(order=made, ticket=ticket)
        unary(lambda: self._rewards.Reserve(reserve))
        confirm = reward_pb2.ConfirmRequest(key=secrets.token_bytes(KEY_BYTES), order_key=made.key)
        done = unary(lambda: self._rewards.Confirm(confirm)).redemption
        return {
            "order": done.order_key.hex(),
            "programme": done.programme,
            "reward": done.reward,
            "quantity": done.quantity,
            "points": done.points,
            "claim_milligrams": done.claim_milligrams,
            "payout_fen": done.payout_fen,
            "state": done.state,
        }

    def certificate(self, order: str) -> dict[str, str]:
        """Give a confirmed order's certificate, as a person would hand it on."""
        request = reward_pb2.GetCertificateRequest(order_key=bytes.fromhex(order))
        found = unary(lambda: self._rewards.GetCertificate(request))
        return {
            "certificate": base64.b64encode(found.certificate).decode(),
            "salt": found.salt.hex(),
            "account": found.account.hex(),
        }

    def _figure(self, mobile: str, section: str, key: str) -> int:
        sections = (self.account(mobile) or {}).get("wallets", [])
        found = (one for one in sections if one["key"] == section)
        return sum(one["amount"] for each in found for one in each["figures"] if one["key"] == key)

    def _ticket(self, mobile: str, purpose: str, subject: bytes = b"") -> bytes | None:
        """Sign a ticket; None for somebody who is not enrolled."""
        person = self._workspace.persons.find(mobile)
        if person is None:
            return None
        try:
            return self._tickets.issue(person, purpose, subject).ticket
        except Unavailable:
            return None


@contextmanager
def open_app(home: Path, hub_address: str) -> Iterator[App]:
    """Open the app of the enterprise whose node lives in a home folder."""
    membership = Membership.load(home)
    workspace = open_workspace(home, schemas=SCHEMAS)
    domain = membership.identity.name.trust_domain
    name = SpiffeName(domain, Role.HUB, HUB_ID).dns_name
    channel = open_channel(hub_address, membership.identity, server_name=name)
    try:
        yield App(workspace, open_tickets(workspace, membership), channel)
    finally:
        channel.close()
        workspace.close()


def first(mobiles: Sequence[str], wanted: Callable[[str], bool]) -> str | None:
    """Find the first person of whom something holds."""
    return next((mobile for mobile in mobiles if wanted(mobile)), None)


def _wire(order: Order) -> reward_pb2.RewardOrder:
    return reward_pb2.RewardOrder(
        key=secrets.token_bytes(KEY_BYTES),
        programme=order.programme,
        programme_version=1,
        reward=order.reward,
        quantity=order.quantity,
    )
