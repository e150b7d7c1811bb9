"""The parts of a joined node: what each is made of, made once, when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from enterprise_node.budget import BudgetLedger
from enterprise_node.chain import OwnChain
from enterprise_node.commitments import Commitments
from enterprise_node.contents import Draw
from enterprise_node.custodians import Quorum
from enterprise_node.dues import Dues
from enterprise_node.egress import EgressJournal
from enterprise_node.following import Following
from enterprise_node.kept import Kept
from enterprise_node.late import LateRecords
from enterprise_node.membership import Membership
from enterprise_node.outbox import CustodianPort, HubPort, HubReads, Outbox
from enterprise_node.pipeline import Course, Pipeline
from enterprise_node.pseudonyms import Pseudonymiser
from enterprise_node.receipts import FOLDER as RECEIPTS_FOLDER
from enterprise_node.receipts import ReceiptFolder
from enterprise_node.recovery import Recovery
from enterprise_node.release import OnStep, Releaser
from enterprise_node.roster import Roster
from enterprise_node.selections import Selections
from enterprise_node.slot_erasures import SlotErasures
from enterprise_node.store.charges import ChargeTable
from enterprise_node.store.commitments import CommitmentTable
from enterprise_node.store.database import Database
from enterprise_node.store.egress import EgressTable
from enterprise_node.store.enrolment import EnrolmentTable
from enterprise_node.store.outbox import OutboxTable
from enterprise_node.store.releases import ReleaseTable
from enterprise_node.store.selections import SelectionTable
from enterprise_node.workspace import Workspace
from privacy import trust
from runtime.log_mirror import LogMirror
from runtime.retries import RetryPolicy

if TYPE_CHECKING:
    from runtime.log_reader import LogReader

LOG_FOLDER = "log"


@dataclass(frozen=True, slots=True)
class Ports:
    """The node's connections: hub, custodians, the log as it is read."""

    hub: HubPort
    custodians: CustodianPort
    log: LogReader
    closers: tuple[Callable[[], None], ...] = ()


def open_journal(database: Database) -> EgressJournal:
    """Open the egress journal, which a node has before it joins."""
    return EgressJournal(database, EgressTable(database), time.time)


def own_chain(workspace: Workspace, membership: Membership) -> OwnChain:
    """Give the chain of messages this node signs."""
    return OwnChain(
        workspace.database,
        OutboxTable(workspace.database),
        origin=membership.origin,
        enterprise_id=membership.enterprise_id,
        signing_key=membership.signing_key,
        keys=workspace.keys,
        clock=time.time,
    )


def own_roster(workspace: Workspace, membership: Membership, chain: OwnChain) -> Roster:
    """Give the roster this node keeps."""
    return Roster(
        workspace.database,
        EnrolmentTable(workspace.database),
        workspace.persons,
        chain,
        workspace.keys,
        membership.enterprise_id,
    )


@dataclass(frozen=True)
class Assembly:
    """What a node is put together from; every part knows here which others it stands on."""

    workspace: Workspace
    membership: Membership
    ports: Ports
    course: Course
    draw: Draw
    on_step: OnStep
    patience: RetryPolicy

    @cached_property
    def pipeline(self) -> Pipeline:
        """Give the node's work."""
        return Pipeline(
            workspace=self.workspace,
            following=self._following,
            pseudonymiser=self._pseudonymiser,
            roster=self._roster,
            slot_erasures=self._slot_erasures,
            releaser=self._releaser,
            selections=self._selections,
            outbox=self._outbox,
            ledger=self._ledger,
            late=self._late,
            dues=Dues(self.workspace.home, self._following, self._enterprise_id, time.time),
            commitments=self._commitments,
            enterprise_id=self._enterprise_id,
            course=self.course,
            patience=self.patience,
        )

    @cached_property
    def recovery(self) -> Recovery:
        """Give the way back from a backup."""
        return Recovery(
            self._database,
            self._chain,
            self._outbox_table,
            self._release_table,
            ChargeTable(self._database),
            self._roster,
            self._slot_erasures,
            self._kept,
            self.workspace.persons,
            self._pseudonymiser,
            self._following,
            self._reads,
            enterprise_id=self._enterprise_id,
        )

    @cached_property
    def journal(self) -> EgressJournal:
        """Give the journal of what leaves."""
        return open_journal(self._database)

    @property
    def _database(self) -> Database:
        return self.workspace.database

    @property
    def _enterprise_id(self) -> str:
        return self.membership.enterprise_id

    @cached_property
    def _outbox_table(self) -> OutboxTable:
        return OutboxTable(self._database)

    @cached_property
    def _enrolment_table(self) -> EnrolmentTable:
        return EnrolmentTable(self._database)

    @cached_property
    def _release_table(self) -> ReleaseTable:
        return ReleaseTable(self._database)

    @cached_property
    def _kept(self) -> Kept:
        return Kept(self.workspace.home)

    @cached_property
    def _chain(self) -> OwnChain:
        return own_chain(self.workspace, self.membership)

    @cached_property
    def _roster(self) -> Roster:
        return own_roster(self.workspace, self.membership, self._chain)

    @cached_property
    def _reads(self) -> HubReads:
        return HubReads(self.ports.log, self.journal, self.membership.https_address)

    @cached_property
    def _following(self) -> Following:
        home, first = self.workspace.home, self.membership.trust_root
        return Following(
            LogMirror(home / LOG_FOLDER, trust.verify_first(first).log_vkey),
            self._reads,
            pinned=first,
            enterprise_id=self._enterprise_id,
            chain=self._chain,
            table=self._outbox_table,
            policy=self.patience,
            on_wait=self.course.wait,
            receipts=ReceiptFolder(home / RECEIPTS_FOLDER, self._outbox_table),
        )

    @cached_property
    def _outbox(self) -> Outbox:
        return Outbox(
            self._chain,
            self._outbox_table,
            self.journal,
            hub=self.ports.hub,
            custodians=self.ports.custodians,
            check_receipt=self._following.receipt_index,
            policy=self.patience,
            on_wait=self.course.wait,
        )

    @cached_property
    def _pseudonymiser(self) -> Pseudonymiser:
        quorum = Quorum(
            self._chain, self._outbox, clock=time.time, policy=self.patience, on_wait=self.course.wait
        )
        return Pseudonymiser(
            self._database, self._enrolment_table, self.workspace.persons, self.workspace.keys, quorum
        )

    @cached_property
    def _slot_erasures(self) -> SlotErasures:
        return SlotErasures(
            self._database, self._enrolment_table, self._outbox_table, self._chain, self._enterprise_id
        )

    @cached_property
    def _ledger(self) -> BudgetLedger:
        return BudgetLedger(
            self._database, ChargeTable(self._database), self.workspace.configuration.ceilings
        )

    @cached_property
    def _selections(self) -> Selections:
        return Selections(
            SelectionTable(self._database),
            self._following,
            self._roster,
            self._reads,
            enterprise_id=self._enterprise_id,
        )

    @cached_property
    def _late(self) -> LateRecords:
        return LateRecords(
            self.workspace.activities,
            self.workspace.reductions,
            self._kept,
            self._roster,
            self._release_table,
            self._ledger,
            enterprise_id=self._enterprise_id,
            policy_by_hash=self._following.policy_by_hash,
        )

    @cached_property
    def _commitments(self) -> Commitments:
        return Commitments(
            self.workspace.home,
            self._database,
            CommitmentTable(self._database),
            self._chain,
            self._roster,
            self.workspace.reductions,
            self._kept,
            self._late,
            self.workspace.engine,
            self.workspace.keys,
            enterprise_id=self._enterprise_id,
        )

    @cached_property
    def _releaser(self) -> Releaser:
        return Releaser(
            self._database,
            self._release_table,
            self._ledger,
            self._chain,
            self._roster,
            self.workspace.reductions,
            self._kept,
            self._late,
            self._commitments,
            enterprise_id=self._enterprise_id,
            ceilings=self.workspace.configuration.ceilings,
            draw=self.draw,
            on_step=self.on_step,
        )
