"""The order of a node's work; every step can be repeated, so that a run goes on where it was stopped.

sources → activities → reductions → pseudonyms → roster → release → outbox → log
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from enterprise_node.custodians import pseudonym_key
from enterprise_node.preview import Preview, preview
from enterprise_node.store.releases import ReleaseState
from protos.epochs import Epoch, end_day, format_epoch
from protos.problems import Problem, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_BUSY,
    REASON_EPOCH_NOT_READY,
    REASON_NOT_REGISTERED,
    REASON_POLICY_NOT_IN_FORCE,
    REASON_ROSTER_WRONG,
)
from runtime.retries import DEFAULT_POLICY, RetryPolicy, Wait, log_wait, retry

if TYPE_CHECKING:
    from enterprise_node.budget import BudgetLedger
    from enterprise_node.commitments import Commitments
    from enterprise_node.dues import Dues
    from enterprise_node.following import Following
    from enterprise_node.late import LateRecords
    from enterprise_node.outbox import Outbox
    from enterprise_node.pseudonyms import Pseudonymiser
    from enterprise_node.release import Releaser
    from enterprise_node.roster import Roster
    from enterprise_node.selections import Selections
    from enterprise_node.slot_erasures import SlotErasures
    from enterprise_node.workspace import Workspace
    from privacy.anchors import Covered
    from privacy.policy import Policy

_ORIGIN = datetime.date(1970, 1, 1)

# What signatures on their way will lift: a node may start before the trust root or a policy names it.
_NOT_YET = (REASON_NOT_REGISTERED, REASON_POLICY_NOT_IN_FORCE)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How many persons were enrolled and withdrawn now, and how many wait for a batch large enough."""

    enrolled: int
    waiting: int
    withdrawn: int = 0


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many persons got new slots for old ones, and how many were enrolled and withdrawn beside."""

    rotated: int
    enrolled: int
    withdrawn: int


@dataclass(slots=True)
class Course:
    """What the node is doing now and what it waits for; told to whoever asks or watches."""

    tell: Callable[[str], None] = lambda text: None
    stage: str = "starting"
    waiting_for: str = ""

    def say(self, stage: str) -> None:
        """Begin a stage."""
        self.stage, self.waiting_for = stage, ""
        self.tell(stage)

    def wait(self, wait: Wait) -> None:
        """Note a wait between two attempts."""
        if self.waiting_for != wait.what:
            self.waiting_for = wait.what
            self.tell(f"waiting for {wait.what}: {wait.problem.message}")
        log_wait(wait)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A joined node's work."""

    workspace: Workspace
    following: Following
    pseudonymiser: Pseudonymiser
    roster: Roster
    slot_erasures: SlotErasures
    releaser: Releaser
    selections: Selections
    outbox: Outbox
    ledger: BudgetLedger
    late: LateRecords
    dues: Dues
    commitments: Commitments
    enterprise_id: str
    course: Course = field(default_factory=Course)
    patience: RetryPolicy = DEFAULT_POLICY

    def run(self, epochs: Sequence[Epoch]) -> None:
        """Do everything that is left to do for these epochs; safe to repeat after a stop at any moment."""
        self.ingest()
        self.wait_until_ready(epochs[0])
        self.settle()
        self.tell_dues()
        open_epochs = [epoch for epoch in epochs if self.releaser.state(epoch) is ReleaseState.OPEN]
        if open_epochs:
            self.enrol(open_epochs[0], or_wait=True)
        for epoch in epochs:
            self.wait_until_ready(epoch)
            self.release(epoch)
            self.submit(epoch)
        self.course.say("done")

    def ingest(self) -> None:
        """Read the register of persons and every source's new files."""
        self.course.say("reading sources")
        for _ in self.workspace.read(lambda text: self.course.say(f"reading {text}")):
            pass  # Each file is taken in as its report is asked for.

    def wait_until_ready(self, epoch: Epoch) -> Policy:
        """Wait until the trust root names this enterprise and a policy is in force; give the policy."""
        self.course.say("reading the log")
        return retry(
            lambda: self._ready(epoch),
            what=f"the trust root and a policy for {format_epoch(epoch)}",
            policy=self.patience,
            on_wait=self.course.wait,
        )

    def enrol(self, effective: Epoch, *, or_wait: bool = False) -> Enrolled:
        """Give new persons pseudonyms and slots from `effective` on; end the slots of ended consents.

        Fewer than the policy's smallest batch wait for more with `or_wait`, else raise Refused ROSTER_WRONG.
        """
        policy = self._current(effective)
        withdrawn = self._withdraw(effective)
        persons = self.workspace.persons.new_for_enrolment()
        if not persons:
            return Enrolled(0, 0, withdrawn)
        if len(persons) < policy.roster_batch_min:
            if or_wait:
                self.course.say(f"{len(persons)} new persons wait for a batch of {policy.roster_batch_min}")
                return Enrolled(0, len(persons), withdrawn)
            raise _too_few(len(persons), policy)
        self.course.say(f"pseudonymising {len(persons)} persons")
        trust = self.following.trust
        pseudonyms = self.pseudonymiser.pseudonymise(persons, trust, self.enterprise_id)
        self.roster.enrol(pseudonyms, effective, pseudonym_key(trust).key_id, check=self.following.check)
        self.course.say(f"enrolling {len(persons)} persons")
        self.settle()
        return Enrolled(len(persons), 0, withdrawn)

    def rotate(self, effective: Epoch) -> Rotated:
        """Give everybody a pseudonym and a slot under the key in force, for those of a former key.

        Raises Refused ROSTER_WRONG if they are fewer than the policy's smallest batch.
        """
        policy = self._current(effective)
        withdrawn = self._withdraw(effective)
        newcomers = self.workspace.persons.new_for_enrolment()
        persons = [*self.roster.enrolled_persons(), *newcomers]
        self.course.say(f"pseudonymising {len(persons)} persons")
        trust = self.following.trust
        pseudonyms = self.pseudonymiser.pseudonymise(persons, trust, self.enterprise_id)
        outdated = self.roster.outdated(pseudonyms)
        if not outdated:
            raise Refused(
                REASON_ROSTER_WRONG,
                "Every enrolled person has a slot under the pseudonym key in force.",
                remedy="Enrol new persons without --rotate.",
            )
        if outdated + len(newcomers) < policy.roster_batch_min:
            raise _too_few(outdated + len(newcomers), policy)
        key_id = pseudonym_key(trust).key_id
        self.roster.rotate(pseudonyms, effective, key_id, check=self.following.check)
        self.course.say(f"moving {outdated} persons to new slots")
        self.settle()
        return Rotated(outdated, len(newcomers), withdrawn)

    def _withdraw(self, effective: Epoch) -> int:
        """End the slots of persons who consent no longer, have erased what was asked; gives how many left."""
        ended = self.workspace.persons.ended_consents()
        if ended:
            self.course.say(f"withdrawing {len(ended)} persons")
            key_id = pseudonym_key(self.following.trust).key_id
            self.roster.withdraw(ended, effective, key_id, check=self.following.check)
            self.settle()
        if erased := self.slot_erasures.order(check=self.following.check):
            self.course.say(f"having {erased} slots erased")
            self.settle()
        return len(ended)

    def preview(self, epoch: Epoch) -> Preview:
        """Show what releasing the epoch would say and cost."""
        policy = self._current(epoch)
        return preview(
            epoch,
            policy,
            self.enterprise_id,
            ledger=self.ledger,
            roster=self.roster,
            reductions=self.workspace.reductions,
            ceilings=self.workspace.configuration.ceilings,
            covered=self._covered(policy, epoch),
            late=self.late,
        )

    def release(self, epoch: Epoch) -> ReleaseState:
        """Reserve, log the reservation and draw, as far as that is still to be done."""
        if self.releaser.state(epoch) is ReleaseState.OPEN:
            policy = self._current(epoch)
            self._check_over(epoch, policy.lag_days)
            self._check_enrolled(epoch, policy)
            self.course.say(f"{format_epoch(epoch)}: reserving the charge")
            covered = self._covered(policy, epoch)
            self.releaser.reserve(epoch, policy, covered=covered, check=self.following.check)
        if self.releaser.state(epoch) is ReleaseState.RESERVED:
            self.course.say(f"{format_epoch(epoch)}: logging the reservation")
            self.settle()
            self.following.require_current()
            policy = self.following.policy_by_hash(self.releaser.policy_hash(epoch))
            # Before anything is committed to: what others record is in neither.
            selection = self._selection(epoch)
            if policy.commitment_required:
                self.course.say(f"{format_epoch(epoch)}: committing to the exact figures")
                self.commitments.commit(epoch, policy, check=self.following.check)
                self.settle()
            self.course.say(f"{format_epoch(epoch)}: drawing")
            self.releaser.draw(epoch, policy, selection_hash=selection, check=self.following.check)
        return self.releaser.state(epoch)

    def submit(self, epoch: Epoch) -> ReleaseState:
        """Send what is kept and wait until the log shows it."""
        self.course.say(f"{format_epoch(epoch)}: submitting")
        self.settle()
        state = self.releaser.settle(epoch)
        self.course.say(f"{format_epoch(epoch)}: {state.value}")
        self.dues.note()
        return state

    def tell_dues(self) -> None:
        """Say what is due soon or late."""
        for line in self.dues.note():
            self.course.tell(line)

    def settle(self) -> None:
        """Send everything that waits and follow the log until it shows all of it."""
        self.following.refresh()
        self.outbox.deliver()
        self.following.wait_until_seen()

    def _selection(self, epoch: Epoch) -> bytes:
        return retry(
            lambda: self.selections.obtain(epoch),
            what=f"what is selected for {format_epoch(epoch)}",
            policy=self.patience,
            on_wait=self.course.wait,
        )

    def _covered(self, policy: Policy, epoch: Epoch) -> Covered:
        return self.following.state.covered(self.enterprise_id, policy, epoch)

    def _current(self, epoch: Epoch) -> Policy:
        """Bring the node's view up to date and give the policy in force."""
        self.settle()
        self.following.require_current()
        return self.following.policy_for(epoch)

    def _ready(self, epoch: Epoch) -> Policy:
        self.following.refresh()
        self.following.require_current()
        try:
            if not self.following.is_registered():
                raise Refused(
                    REASON_NOT_REGISTERED,
                    f"The trust root does not name {self.enterprise_id} yet.",
                    remedy="The operator proposes, and the root keys sign, a version that does.",
                )
            policy = self.following.policy_for(epoch)
            policy.enterprise(self.enterprise_id)
        except Refused as problem:
            raise _later(problem) from None
        return policy

    def _check_enrolled(self, epoch: Epoch, policy: Policy) -> None:
        """Refuse to report nothing while a batch of persons waits: an answer is final and leaves them out."""
        if self.roster.active(epoch) or not self.roster.may_begin(epoch):
            return
        waiting = len(self.workspace.persons.new_for_enrolment())
        if waiting >= policy.roster_batch_min:
            raise Refused(
                REASON_ROSTER_WRONG,
                f"{waiting} consenting persons have no slot yet: reporting nothing for {format_epoch(epoch)} "
                "would leave all they did in it out for good.",
                remedy=f"cgsp-node enrol --effective {format_epoch(epoch)}, or with the epoch they begin in.",
            )

    def _check_over(self, epoch: Epoch, lag_days: int) -> None:
        """Refuse an epoch that has not ended, or whose lag has not: records and corrections are to come."""
        if (self.workspace.today - _ORIGIN).days < end_day(epoch) + lag_days:
            raise Refused(
                REASON_EPOCH_NOT_READY,
                f"{format_epoch(epoch)} has not ended yet.",
                remedy=f"Release it {lag_days} days after its end: the policy's lag for corrections.",
            )


def _later(problem: Refused) -> Problem:
    """Turn a refusal that signatures on their way will lift into a wait."""
    if problem.reason not in _NOT_YET:
        return problem
    return Unavailable(REASON_BUSY, problem.message, remedy=problem.remedy)


def _too_few(count: int, policy: Policy) -> Refused:
    return Refused(
        REASON_ROSTER_WRONG,
        f"{count} persons are fewer than the smallest batch, {policy.roster_batch_min}.",
        remedy="Enrol when more persons have joined.",
    )
