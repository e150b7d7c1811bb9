"""Opens a joined node: its state, its connections, and its parts put together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from enterprise_node.assembly import Assembly, Ports, own_chain, own_roster
from enterprise_node.contents import Draw
from enterprise_node.egress import EgressJournal
from enterprise_node.membership import Membership
from enterprise_node.pipeline import Course, Pipeline
from enterprise_node.recovery import Recovery
from enterprise_node.release import OnStep, no_step
from enterprise_node.rpc import GrpcCustodians, GrpcHub
from enterprise_node.samplers import sampler
from enterprise_node.store.database import Database
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.tickets import Tickets
from enterprise_node.workspace import DATA_SCHEMAS, STATE_FILE, Workspace, open_workspace
from runtime.log_reader import HttpLog
from runtime.retries import RetryPolicy

# Hub and custodians may be restarting, a message takes up to a minute to be merged, people some minutes to
# sign that this node is registered; a run that gives up goes on later where it was.
PATIENCE = RetryPolicy(attempts_max=10_000, first_seconds=0.05, wait_seconds_max=2.0, total_seconds_max=600.0)


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
    chain = own_chain(workspace, membership)
    return Tickets(own_roster(workspace, membership, chain), membership, time.time)


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
    parts = Assembly(
        workspace,
        membership,
        ports,
        course,
        draw or sampler(workspace.configuration.noise.sampler),
        on_step,
        patience,
    )
    closers = (*ports.closers, workspace.close)
    return App(workspace, membership, parts.pipeline, parts.recovery, parts.journal, course, closers)
