"""Certificates of honours and attestations: a sentence the hub signs, with nothing of the history behind it.

A holder is named by a salted commitment. Who is handed the salt and the account can tell whose it is; two
certificates of one person look unrelated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from accounting.ledger.attesting import Credited, lower_bound_grams, window
from accounting.ledger.books import Reservation, ReservationState
from accounting.ledger.chart import CLAIMS
from accounting.programmes.rewards import Reward, RewardKind
from hub.ledger import Ledger
from hub.redemption import Caller, Redemptions
from hub.store.wallets import read_credits
from privacy import codec, envelope
from privacy.envelope import Kind
from privacy.keys import SigningKey
from privacy.tickets import subject_of
from protos.epochs import Epoch, previous_epoch
from protos.problems import InvariantBroken, Refused
from protos.v1 import reward_pb2
from protos.v1.problem_pb2 import (
    REASON_INVARIANT_BROKEN,
    REASON_NOT_ELIGIBLE,
    REASON_RESERVATION_ENDED,
    REASON_REWARD_UNKNOWN,
)

SALT_BYTES = 32
VALID_SECONDS = 90 * 86_400


@dataclass(frozen=True, slots=True)
class Certificate:
    """A signed certificate, and what opens its holder's commitment."""

    envelope: bytes
    salt: bytes
    account: bytes


class Certificates:
    """Signs certificates for orders that were confirmed."""

    def __init__(
        self,
        redemptions: Redemptions,
        ledger: Ledger,
        readers: Engine,
        key: SigningKey,
        *,
        origin: str,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self._redemptions = redemptions
        self._ledger = ledger
        self._readers = readers
        self._key = key
        self._origin = origin
        self._clock = clock
        self._random = random

    def issue(self, caller: Caller, order_key: bytes) -> Certificate:
        """Sign the certificate of a confirmed order; raises Refused where it proves nothing."""
        made = self._redemptions.own(caller, order_key)
        if made.state is not ReservationState.CONFIRMED:
            raise Refused(REASON_RESERVATION_ENDED, "Only a confirmed order has a certificate.")
        message = self._sentence(made)
        salt, now = self._random(SALT_BYTES), self._clock()
        message.holder_commitment = subject_of(salt + made.account)
        message.issued_at, message.expires_at = now, now + VALID_SECONDS
        signed = envelope.sign(codec.encode(message), Kind.ATTESTATION, [self._key])
        return Certificate(signed, salt, made.account)

    def _sentence(self, made: Reservation) -> reward_pb2.Attestation:
        with self._readers.begin() as connection:
            facts = self._ledger.facts(connection)
            programme = facts.programme(made.programme, made.version)
            if programme is None:
                raise InvariantBroken(REASON_INVARIANT_BROKEN, "An order's programme is not in the log.")
            reward = programme.rewards[made.reward]
            message = reward_pb2.Attestation(
                origin=self._origin,
                programme=made.programme,
                programme_version=made.version,
                reward=made.reward,
                last_epoch=previous_epoch(facts.epoch),
            )
            if reward.attestation is not None:
                self._attest(message, reward, made.account)
            elif reward.kind is not RewardKind.HONOUR:
                raise Refused(REASON_REWARD_UNKNOWN, f"A {reward.kind.value} reward has no certificate.")
        return message

    def _attest(self, message: reward_pb2.Attestation, reward: Reward, account: bytes) -> None:
        """State the threshold, if the account is above it with all but the reserve's certainty."""
        assert reward.attestation is not None
        first, last = window(Epoch(message.last_epoch), reward.attestation.months)
        with self._readers.begin() as connection:
            facts = self._ledger.facts(connection)
            closed = [epoch for epoch in facts.closed_epochs() if epoch <= last]
            place = (CLAIMS, account)
            rows = read_credits(connection, [place], closed).get(place, [])
            credits = [Credited(one.epoch, one.delta, one.variance) for one in rows]
            bound = lower_bound_grams(credits, first, last, facts.reserve_z)
        if bound < reward.attestation.grams_min:
            raise Refused(
                REASON_NOT_ELIGIBLE,
                f"{reward.attestation.grams_min} g in {reward.attestation.months} months are not certain.",
                remedy="Ask again after the next epoch's close.",
            )
        message.grams_min, message.first_epoch = reward.attestation.grams_min, first
