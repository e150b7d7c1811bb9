"""Asking a quorum of custodians: in parallel, another quorum when one is silent, every proof checked.

A custodian that does not answer is passed over until the next attempt; one that refuses, or whose proof does
not hold and who is then named, is not asked again for this batch.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from privacy.envelope import envelope_hash
from privacy.pseudonyms import (
    BlindedBatch,
    CustodianAnswer,
    PseudonymKeyView,
    combine_batch,
    verify_answer,
)
from privacy.shares import commitments_hash
from protos.problems import Problem, Refused, Unavailable, Unverified
from protos.v1.custodian_pb2 import EvaluateResponse, EvaluationOrder
from protos.v1.problem_pb2 import (
    REASON_BUSY,
    REASON_NOT_REGISTERED,
    REASON_PROOF_INVALID,
    REASON_QUORUM_UNAVAILABLE,
    REASON_RATE_EXCEEDED,
)
from runtime.problems import reason_name
from runtime.retries import DEFAULT_POLICY, RetryPolicy, Wait, is_retryable, log_wait, retry

if TYPE_CHECKING:
    from enterprise_node.chain import OwnChain
    from privacy.trust import Custodian, PseudonymKey, TrustRoot

logger = logging.getLogger(__name__)

# Rounds of attempts, each of seconds, while custodians ask for patience: some hours.
RATE_ROUNDS_MAX = 2000


class Evaluations(Protocol):
    """Whoever carries a batch to a custodian."""

    def evaluate(
        self, custodian: Custodian, order: bytes, blinded: bytes, order_hash: bytes
    ) -> EvaluateResponse:
        """Send one order; raises Unavailable when the custodian does not answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A batch's pseudonyms in order, and who answered."""

    pseudonyms: list[bytes]
    custodian_ids: tuple[str, ...]


@dataclass(slots=True)
class _Asking:
    """One batch on its way: who is silent in this attempt, who refused or was caught in any."""

    content: BlindedBatch
    trust: TrustRoot
    key: PseudonymKey
    enterprise_id: str
    used: Mapping[str, int]
    silent: dict[int, Problem] = field(default_factory=dict)
    refusing: dict[int, Problem] = field(default_factory=dict)
    caught: set[int] = field(default_factory=set)

    def next_quorum(self) -> list[Custodian]:
        """Choose whom to ask, ascending by index: those least used, so that quotas are drawn on evenly."""
        passed_over = {*self.silent, *self.refusing, *self.caught}
        left = [custodian for custodian in self.trust.custodians if custodian.index not in passed_over]
        if len(left) < self.key.threshold:
            raise self._too_few()
        left.sort(key=lambda custodian: (self.used.get(custodian.id, 0), self._rank(custodian)))
        return sorted(left[: self.key.threshold], key=lambda custodian: custodian.index)

    def _rank(self, custodian: Custodian) -> bytes:
        """Order custodians in the enterprise's own way, so that not all begin with the same."""
        return hashlib.sha256(f"{self.enterprise_id}/{custodian.id}".encode()).digest()

    def _too_few(self) -> Problem:
        """Say who is missing: waiting helps against silence, not against a refusal or a wrong proof."""
        if limited := [problem for problem in self.silent.values() if problem.reason == REASON_RATE_EXCEEDED]:
            return limited[0]
        if len(self.trust.custodians) - len(self.caught | self.refusing.keys()) >= self.key.threshold:
            return Unavailable(
                REASON_QUORUM_UNAVAILABLE,
                f"{self.key.threshold} custodians are needed; these do not answer: "
                f"{self._names(self.silent)}.{self._distrust()}",
                remedy="Nothing is lost: the same batch is sent again when they are back.",
            )
        if self.refusing:
            return next(iter(self.refusing.values()))
        return Unverified(
            REASON_PROOF_INVALID,
            f"Too few custodians are left.{self._distrust()}",
            remedy="Report them to the operator and the auditors; nothing they answered was used.",
        )

    def _distrust(self) -> str:
        return f" The proofs of these do not hold: {self._names(self.caught)}." if self.caught else ""

    def _names(self, indices: Iterable[int]) -> str:
        return ", ".join(self.trust.custodian(index).id for index in sorted(indices))


class Quorum:
    """Turns blinded batches into pseudonyms with the custodians of a trust root."""

    def __init__(
        self,
        chain: OwnChain,
        evaluations: Evaluations,
        *,
        clock: Callable[[], float],
        policy: RetryPolicy = DEFAULT_POLICY,
        on_wait: Callable[[Wait], None] = log_wait,
        workers: int = 2,
        rate_rounds_max: int = RATE_ROUNDS_MAX,
    ) -> None:
        self._chain = chain
        self._evaluations = evaluations
        self._clock = clock
        self._policy = policy
        self._on_wait = on_wait
        self._workers = workers
        self._rate_rounds_max = rate_rounds_max

    def pseudonyms(
        self, content: BlindedBatch, trust: TrustRoot, enterprise_id: str, used: Mapping[str, int]
    ) -> Answered:
        """Give one pseudonym for each identifier of the batch, in order; `used` counts elements by custodian.

        Raises Unavailable QUORUM_UNAVAILABLE, Unverified PROOF_INVALID naming the custodians, or a refusal.
        """
        asking = _Asking(content, trust, pseudonym_key(trust), enterprise_id, used)
        for _ in range(1, self._rate_rounds_max):
            try:
                return self._asked(asking)
            except Refused as problem:
                # A first enrolment of many outruns the custodians' rate; it goes on as fast as they allow.
                if problem.reason != REASON_RATE_EXCEEDED:
                    raise
        return self._asked(asking)

    def _asked(self, asking: _Asking) -> Answered:
        return retry(
            lambda: self._attempt(asking),
            what=f"{asking.key.threshold} of {len(asking.trust.custodians)} custodians",
            policy=self._policy,
            on_wait=self._on_wait,
        )

    def _attempt(self, asking: _Asking) -> Answered:
        """Ask quorum after quorum until one answers whole."""
        asking.silent.clear()
        view = PseudonymKeyView(asking.key.threshold, asking.key.commitments)
        while True:
            quorum = asking.next_quorum()
            indices = [custodian.index for custodian in quorum]
            answers = self._ask(asking, quorum, indices)
            if len(answers) < len(quorum):
                continue
            try:
                names = combine_batch(asking.content, answers, view, indices, workers=self._workers)
                return Answered(names, tuple(custodian.id for custodian in quorum))
            except Unverified:
                caught = _caught(asking, answers, view, indices)
                if not caught:
                    raise
                asking.caught |= caught

    def _ask(
        self, asking: _Asking, quorum: Sequence[Custodian], indices: Sequence[int]
    ) -> list[CustodianAnswer]:
        """Ask every custodian of a quorum at once; note who does not answer and who refuses."""

        def ask(custodian: Custodian) -> CustodianAnswer | Problem:
            order = self._chain.sign_order(self._order(asking, custodian, indices))
            try:
                answer = self._evaluations.evaluate(
                    custodian, order, asking.content.blinded, envelope_hash(order)
                )
            except Refused as problem:
                if problem.reason != REASON_NOT_REGISTERED:
                    return problem
                # Our own copy of the log names us: the custodian has not read that far yet.
                return Unavailable(REASON_BUSY, problem.message, remedy=problem.remedy)
            except Unavailable as problem:
                return problem
            return CustodianAnswer(custodian.index, answer.evaluated_elements, answer.proof)

        with ThreadPoolExecutor(len(quorum), thread_name_prefix="custodian") as pool:
            outcomes = list(pool.map(ask, quorum))
        for custodian, outcome in zip(quorum, outcomes, strict=True):
            if isinstance(outcome, Problem):
                is_final = isinstance(outcome, Refused) and not is_retryable(outcome)
                passed_over = asking.refusing if is_final else asking.silent
                passed_over[custodian.index] = outcome
                extra = {"custodian_id": custodian.id, "reason": reason_name(outcome.reason)}
                logger.warning("custodian gave no evaluation", extra=extra)
        return [outcome for outcome in outcomes if isinstance(outcome, CustodianAnswer)]

    def _order(self, asking: _Asking, custodian: Custodian, indices: Sequence[int]) -> EvaluationOrder:
        return EvaluationOrder(
            origin=asking.trust.origin,
            enterprise_id=asking.enterprise_id,
            custodian_id=custodian.id,
            key_id=asking.key.key_id,
            quorum=indices,
            elements=len(asking.content.identifiers),
            batch_hash=asking.content.batch_hash,
            issued_at=int(self._clock()),
            commitments_hash=commitments_hash(asking.key.commitments),
        )


def pseudonym_key(trust: TrustRoot) -> PseudonymKey:
    """Give the key in force; raises Unavailable before the custodians' ceremony."""
    if trust.pseudonym_key is None:
        raise Unavailable(
            REASON_QUORUM_UNAVAILABLE,
            "The trust root names no pseudonym key yet.",
            remedy="Enrol after the custodians' ceremony is in the trust root.",
        )
    return trust.pseudonym_key


def _caught(
    asking: _Asking, answers: Sequence[CustodianAnswer], view: PseudonymKeyView, indices: Sequence[int]
) -> set[int]:
    """Find out whose proof does not hold."""
    caught = {answer.index for answer in answers if not _holds(answer, asking.content.blinded, view, indices)}
    for index in caught:
        name = asking.trust.custodian(index).id
        logger.error("custodian's proof does not hold", extra={"custodian_id": name})
    return caught


def _holds(answer: CustodianAnswer, blinded: bytes, view: PseudonymKeyView, indices: Sequence[int]) -> bool:
    try:
        verify_answer(answer, blinded, view, indices)
    except Unverified:
        return False
    return True
