"""Builds a joined node's objects, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
from enterprise_node.release import OnStep, Releaser, no_step
from enterprise_node.roster import Roster
from enterprise_node.rpc import GrpcCustodians, GrpcHub
from enterprise_node.samplers import sampler
from enterprise_node.selections import Selections
from enterprise_node.slot_erasures import SlotErasures
from enterprise_node.store.charges import ChargeTable
from enterprise_node.store.commitments import CommitmentTable
from enterprise_node.store.database import Database
from enterprise_node.store.egress import EgressTable
from enterprise_node.store.enrolment import EnrolmentTable
from enterprise_node.store.outbox import OutboxTable
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.store.releases import ReleaseTable
from enterprise_node.store.selections import SelectionTable
from enterprise_node.tickets import Tickets
from enterprise_node.workspace import DATA_SCHEMAS, STATE_FILE, Workspace, open_workspace
from privacy import trust
from runtime.log_mirror import LogMirror
from runtime.log_reader import HttpLog, LogReader
from runtime.retries import RetryPolicy

LOG_FOLDER = "log"

# Hub and custodians may be restarting, a message takes up to a minute to be merged, people some minutes to
# sign that this node is registered; a run that gives up goes on later where it was.
PATIENCE = RetryPolicy(attempts_max=10_000, first_seconds=0.05, wait_seconds_max=2.0, total_seconds_max=600.0)


@dataclass(frozen=True, slots=True)
class Ports:
    """The node's connections: hub, custodians, the log as it is read."""

    hub: HubPort
    custodians: CustodianPort
    log: LogReader
    closers: tuple[Callable[[], None], ...] = ()


@dataclass(frozen=True, slots=True)
class App:
    """A node ready to work; `close` when done."""

    workspace: Workspace
    membership: Membership
    pipeline: Pipeline
    recovery: Recovery
    journal: EgressJournal
    course: Course
    closers: tuple[Callable[[], None], ...]

    def close(self) -> None:
        """Close connections, then the state."""
        for close in self.closers:
            close()


def open_state(home: Path) -> Database:
    """Open the node's state alone, for what needs neither data nor hub."""
    return Database(home / STATE_FILE, (*DATA_SCHEMAS, *SCHEMAS))


def open_journal(database: Database) -> EgressJournal:
    """Open the egress journal, which a node has before it joins."""
    return EgressJournal(database, EgressTable(database), time.time)


def open_app(home: Path, course: Course | None = None) -> App:
    """Open a home that has joined; raises Refused NOT_REGISTERED or Malformed."""
    membership = Membership.load(home)
    workspace = open_workspace(home, schemas=SCHEMAS)
    try:
        return build_app(workspace, membership, open_ports(membership), course or Course())
    except BaseException:
        workspace.close()
        raise


def open_tickets(workspace: Workspace, membership: Membership) -> Tickets:
    """Prepare to sign tickets; nothing is sent."""
    database, keys = workspace.database, workspace.keys
    chain = OwnChain(
        database,
        OutboxTable(database),
        origin=membership.origin,
        enterprise_id=membership.enterprise_id,
        signing_key=membership.signing_key,
        keys=keys,
        clock=time.time,
    )
    roster = Roster(
        database, EnrolmentTable(database), workspace.persons, chain, keys, membership.enterprise_id
    )
    return Tickets(roster, membership, time.time)


def open_ports(membership: Membership) -> Ports:
    """Prepare the connections over mutual TLS; nothing is sent yet."""
    http = HttpLog(
        membership.https_address,
        membership.identity.ca_pem,
        identity=membership.identity,
        grpc_address=membership.grpc_address,
    )
    hub = GrpcHub(membership.grpc_address, membership.identity)
    custodians = GrpcCustodians(membership.identity)
    return Ports(hub, custodians, http, (hub.close, custodians.close, http.close))


def build_app(
    workspace: Workspace,
    membership: Membership,
    ports: Ports,
    course: Course,
    *,
    draw: Draw | None = None,
    on_step: OnStep = no_step,
    patience: RetryPolicy = PATIENCE,
) -> App:
    """Put the parts together; noise comes from node.toml's sampler unless another is given."""
    database, keys, enterprise_id = workspace.database, workspace.keys, membership.enterprise_id
    outbox_table, enrolment_table = OutboxTable(database), EnrolmentTable(database)
    journal = open_journal(database)
    chain = OwnChain(
        database,
        outbox_table,
        origin=membership.origin,
        enterprise_id=enterprise_id,
        signing_key=membership.signing_key,
        keys=keys,
        clock=time.time,
    )
    reads = HubReads(ports.log, journal, membership.https_address)
    following = Following(
        LogMirror(workspace.home / LOG_FOLDER, trust.verify_first(membership.trust_root).log_vkey),
        reads,
        pinned=membership.trust_root,
        enterprise_id=enterprise_id,
        chain=chain,
        table=outbox_table,
        policy=patience,
        on_wait=course.wait,
        receipts=ReceiptFolder(workspace.home / RECEIPTS_FOLDER, outbox_table),
    )
    outbox = Outbox(
        chain,
        outbox_table,
        journal,
        hub=ports.hub,
        custodians=ports.custodians,
        check_receipt=following.receipt_index,
        policy=patience,
        on_wait=course.wait,
    )
    quorum = Quorum(chain, outbox, clock=time.time, policy=patience, on_wait=course.wait)
    roster = Roster(database, enrolment_table, workspace.persons, chain, keys, enterprise_id)
    slot_erasures = SlotErasures(database, enrolment_table, outbox_table, chain, enterprise_id)
    ledger = BudgetLedger(database, ChargeTable(database), workspace.configuration.ceilings)
    late = LateRecords(
        workspace.activities,
        workspace.reductions,
        Kept(workspace.home),
        roster,
        ReleaseTable(database),
        ledger,
        enterprise_id=enterprise_id,
        policy_by_hash=following.policy_by_hash,
    )
    commitments = Commitments(
        workspace.home,
        database,
        CommitmentTable(database),
        chain,
        roster,
        workspace.reductions,
        Kept(workspace.home),
        late,
        workspace.engine,
        keys,
        enterprise_id=enterprise_id,
    )
    releaser = Releaser(
        database,
        ReleaseTable(database),
        ledger,
        chain,
        roster,
        workspace.reductions,
        Kept(workspace.home),
        late,
        commitments,
        enterprise_id=enterprise_id,
        ceilings=workspace.configuration.ceilings,
        draw=draw or sampler(workspace.configuration.noise.sampler),
        on_step=on_step,
    )
    pipeline = Pipeline(
        workspace=workspace,
        following=following,
        pseudonymiser=Pseudonymiser(database, enrolment_table, workspace.persons, keys, quorum),
        roster=roster,
        slot_erasures=slot_erasures,
        releaser=releaser,
        selections=Selections(
            SelectionTable(database), following, roster, reads, enterprise_id=enterprise_id
        ),
        outbox=outbox,
        ledger=ledger,
        late=late,
        dues=Dues(workspace.home, following, enterprise_id, time.time),
        commitments=commitments,
        enterprise_id=enterprise_id,
        course=course,
        patience=patience,
    )
    recovery = Recovery(
        database,
        chain,
        outbox_table,
        ReleaseTable(database),
        ChargeTable(database),
        roster,
        slot_erasures,
        Kept(workspace.home),
        workspace.persons,
        pipeline.pseudonymiser,
        following,
        reads,
        enterprise_id=enterprise_id,
    )
    closers = (*ports.closers, workspace.close)
    return App(workspace, membership, pipeline, recovery, journal, course, closers)
