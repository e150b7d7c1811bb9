"""A hub whose persons have known figures and proved accounts, and the calls of an enterprise's app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import grpc

from hub.intake import Own
from hub.store.writer import Writer
from privacy import codec, policy, releases
from privacy.acceptance import Admission
from privacy.account_changes import PROVE, build_change
from privacy.claims import ratio
from privacy.envelope import Kind
from privacy.policy import Policy
from privacy.tickets import subject_of
from protos.epochs import Epoch
from protos.v1 import envelope_pb2, ledger_pb2, policy_pb2, reward_pb2, reward_pb2_grpc
from runtime.identity import Role
from tests.simulator import EPOCH, pseudonym
from tests.unit.hub.world import World, begin, enrol, make_home, running

# So much that a statement's noise has a scale of one: a reserve of a few grams.
EPSILON = ratio(Fraction(1_000))
PLENTY = ratio(Fraction(10_000))


WorldT = TypeVar("WorldT", bound="RewardWorld")


@dataclass
class RewardWorld(World):
    """A world that releases the figures it is told, one measure an enterprise."""

    # By enterprise and epoch, in slot order.
    figures: dict[tuple[str, int], Sequence[int]] = field(default_factory=dict)
    keys_made: int = 0

    def policy_message(self, **changes: Any) -> policy_pb2.Policy:
        """Give a policy with hardly any noise."""
        cheap = {
            "statement_epsilon": EPSILON,
            "person_day_allowance": PLENTY,
            "person_month_allowance": PLENTY,
        }
        return super().policy_message(**{**cheap, **changes})

    def _statements(self, rules: Policy, enterprise_id: str, rows: int, epoch: Epoch) -> Mapping[str, bytes]:
        told = self.figures.get((enterprise_id, epoch), [0] * rows)
        return {
            item.name: releases.to_raw(list(told))
            for item in policy.series(rules, enterprise_id, epoch)
            if item.by_slot
        }

    def enrol(self, enterprise_id: str, persons: Sequence[int], **changes: Any) -> Admission:
        """Enrol from the policy's first epoch on."""
        return super().enrol(enterprise_id, persons, **{"effective": self.first_epoch, **changes})

    def close_epoch(self, epoch: Epoch = EPOCH) -> None:
        """Release everybody's figures and close."""
        for one in self.enterprises:
            self.release(one.id, epoch)
        with self.operator() as client:
            client.close(epoch, allow_missing=False)
        self.follow()

    def account_of(self, person: int) -> bytes:
        """Give a person's account, as the hub drew it."""
        return self.linked[pseudonym(person)][0]

    def prove(self, person: int, enterprise_id: str, epoch: Epoch) -> None:
        """Have the hub log that a person has proved control."""
        ticket = self.ticket(enterprise_id, person, "prove")

        def build(header: envelope_pb2.Header) -> Own:
            built = build_change(
                header,
                kind=PROVE,
                effective=epoch,
                salt=bytes(32),
                account=self.account_of(person),
                tickets=[ticket],
            )
            return Own(Kind.ACCOUNT_CHANGE, built.message, built.bodies)

        writer: Writer = self.hub.parts.writer
        writer.call(lambda connection: self.hub.parts.intake.append_own(connection, build))
        self.follow()

    def fresh_key(self) -> bytes:
        """Give a key nobody has used."""
        self.keys_made += 1
        return self.keys_made.to_bytes(16, "big")

    def order(self, programme: str, reward: str, **changes: Any) -> reward_pb2.RewardOrder:
        """Give an order with a fresh key."""
        values: dict[str, Any] = {"key": self.fresh_key(), "programme_version": 1, "quantity": 1}
        return reward_pb2.RewardOrder(programme=programme, reward=reward, **{**values, **changes})

    def order_ticket(
        self, order: reward_pb2.RewardOrder, person: int, enterprise_id: str, **changes: Any
    ) -> bytes:
        """Sign that a person agreed to an order."""
        named = {"subject": subject_of(codec.encode(order)), **changes}
        return self.ticket(enterprise_id, person, named.pop("purpose", "redeem"), **named)

    @contextmanager
    def rewards(self, role: Role, party: str) -> Iterator[reward_pb2_grpc.RewardServiceStub]:
        """Call as an enterprise's app, or the operator."""
        with self.channel(self.identity(role, party)) as channel:
            yield reward_pb2_grpc.RewardServiceStub(channel)

    def deposit(self, programme: str, fund: str, fen: int, source: str = "government") -> None:
        """Pay money into a fund."""
        operation = ledger_pb2.Operation(key=self.fresh_key())
        paid = operation.deposit
        paid.programme, paid.fund, paid.source, paid.fen = programme, fund, source, fen
        self.hub.ledger.submit(operation)


@contextmanager
def world_of(kind: type[WorldT], folder: Path, **parts: Any) -> Iterator[WorldT]:
    """Run a hub of a kind over documents and persons."""
    opened = make_home(folder)
    with running(opened) as hub:
        found = kind(opened=opened, hub=hub, **parts)
        begin(found)
        enrol(found)
        yield found


@contextmanager
def reward_world(folder: Path, **parts: Any) -> Iterator[RewardWorld]:
    """Run a hub over documents and persons."""
    with world_of(RewardWorld, folder, **parts) as found:
        yield found


def call(method: Any, request: Any) -> Any:
    """Make a call; raises the problem the hub answers with."""
    from runtime.problems import problem_from_rpc_error

    try:
        return method(request)
    except grpc.RpcError as error:
        raise problem_from_rpc_error(error) from None
